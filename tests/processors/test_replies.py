"""From a model's text to a decision, or to a reason. The model may be anybody."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.replies import AgentDecision, Malformed, parse
from tests.processors.examples import answer, compiled, reply

CHARTER = compiled()


def test_a_right_answer_is_a_decision() -> None:
    decision = parse(CHARTER, reply(answer("respond", 0.8, "because", text="tomorrow")))
    assert decision == AgentDecision(
        action="respond", confidence=0.8, parameters={"text": "tomorrow"}, reasoning="because"
    )


def changed(**changes: object) -> str:
    content = {"reasoning": "r", "action": "respond", "parameters": {"text": "t"}, "confidence": 0.9} | changes
    return orjson.dumps({key: value for key, value in content.items() if value is not None}).decode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not one JSON object"),
        ("Sure! " + answer("respond", text="t"), "not one JSON object"),
        ("```json\n" + answer("respond", text="t") + "\n```", "not one JSON object"),
        (answer("respond", text="t") + answer("refund", amount=1), "not one JSON object"),
        (answer("respond", text="t")[:-10], "not one JSON object"),
        ("[]", "the answer"),
        ("null", "the answer"),
        (changed(action="delete_everything"), "no action 'delete_everything'"),
        (changed(action="Respond"), "no action 'Respond'"),
        (changed(action=["respond"]), "action"),
        (changed(action="x" * 100_000), "no action 'xxx"),
        (changed(confidence=1.01), "confidence"),
        (changed(confidence=-0.1), "confidence"),
        (changed(confidence="1.0"), "confidence"),
        (changed(confidence=True), "confidence"),
        (changed().replace("0.9", "NaN"), "not one JSON object"),
        (changed().replace("0.9", "1e999"), "not one JSON object|confidence"),
        (changed(confidence=None), "confidence"),
        (changed(reasoning=None), "reasoning"),
        (changed(reasoning="x" * 8001), "reasoning"),
        (changed(reasoning="x" * 10_000_000), "more than"),
        (changed(parameters=None), "parameters"),
        (changed(parameters="{}"), "parameters"),
        ('{"action": "wait", ' + changed()[1:], "'action' twice"),
        (changed(parameters={"text": "t"}).replace('{"text"', '{"text": "x", "text"'), "'text' twice"),
        (changed(parameters={"text": "t"}).replace('{"text"', '{"\\u0074ext": "x", "text"'), "'text' twice"),
        (changed(parameters={"text": "t"}).replace('{"text"', '{"n": ' + "9" * 5000 + ', "text"'), "|"),
        (changed(parameters={}), '"text" is a required property'),
        (changed(parameters={"text": 1}), "parameters.text"),
        (changed(parameters={"text": "t", "url": "http://169.254.169.254/"}), "url"),
        (changed(extra=1), "extra"),
        (changed(action="wait", parameters={"after": "soon"}), "parameters.after"),
        (changed(action="look", parameters={"anything": 1}), "anything"),
    ],
)
def test_anything_else_is_malformed_and_says_why(text: str, reason: str) -> None:
    found = parse(CHARTER, reply(text))
    assert isinstance(found, Malformed)
    assert any(part in found.reason for part in reason.split("|")), found.reason
    assert len(found.reason) < 1000


@given(text=st.text())
def test_no_text_raises(text: str) -> None:
    assert isinstance(parse(CHARTER, reply(text)), Malformed)


ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3) | st.lists(inner, max_size=3),
)


@given(action=st.sampled_from([*CHARTER.actions, "other"]), parameters=ANY, confidence=ANY)
def test_whatever_is_a_decision_holds_to_the_charter(action: str, parameters: object, confidence: object) -> None:
    found = parse(CHARTER, reply(changed(action=action, parameters=parameters, confidence=confidence)))
    if isinstance(found, AgentDecision):
        assert 0 <= found.confidence <= 1
        assert CHARTER.actions[found.action].problem_with(found.parameters) is None


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_an_answer_that_nests_without_end_is_malformed(opening: str, closing: str) -> None:
    """The JSON library can read what it cannot write again."""
    for levels in (100, 500, 1100, 100_000):
        parameters = f'{{"text": {opening * levels}1{closing * levels}}}'
        text = f'{{"reasoning": "", "action": "respond", "confidence": 1, "parameters": {parameters}}}'
        found = parse(CHARTER, reply(text))
        assert isinstance(found, Malformed)


def test_many_brackets_side_by_side_are_no_nesting() -> None:
    found = parse(CHARTER, reply(answer("respond", text="[{" * 500)))
    assert not isinstance(found, Malformed)
