"""What is allowed in a charter but will surprise its author is reported with its line."""

import pytest

from nightdesk.processors.charter import CharterInvalid, parse_charter
from nightdesk.processors.charter.warnings import warnings_for
from tests.processors.examples import CHARTER, FILES, changed

PAY = "pay: {type: http, connection: desk, path: /refunds}"


def _warned(keys: str) -> list[str]:
    text = CHARTER.replace(PAY, PAY.replace("}", f", {keys}}}"))
    return [str(warning) for warning in warnings_for(parse_charter(text, FILES), text)]


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ("idempotent: none", "did_not_happen"),
        ("idempotent: none, reconcile: /refunds", "settles_within"),
        ("idempotent: none, did_not_happen: [422], reconcile: /refunds", "settles_within"),
    ],
)
def test_what_leaves_a_step_to_a_person_is_said(keys: str, word: str) -> None:
    [warning] = _warned(keys)
    assert word in warning
    assert "handlers.pay" in warning
    line = 1 + CHARTER[: CHARTER.index(PAY)].count("\n")
    assert warning.startswith(f"{line}:")


@pytest.mark.parametrize(
    "keys",
    [
        "idempotent: natural",
        "idempotent: none, did_not_happen: [422]",
        "idempotent: none, reconcile: /refunds, settles_within: 2m",
    ],
)
def test_the_rest_is_not(keys: str) -> None:
    assert _warned(keys) == []


DEAR_LOOP = "{% for a in event.data.a %}{% for b in event.data.a %}{{ b }}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('event.data.status == "open"', "event.data.a.all(x, event.data.a.exists(y, x == y))", "on[0].when"),
        ('event.data.status == "open"', "event.data.a.all(x, x > event.data.least)", "on[0].when"),
        ("decision.parameters.amount <= 100.0", "event.data.a.map(x, x).size() > 1", "rules[0].require"),
        ('event.data.text.contains("where")', "event.data.a.all(x, x in event.data.a)", "fallback[1].when"),
        ("{{ decision.parameters.text }}", DEAR_LOOP, "playbooks.respond[0].with"),
        ("asks for {{ event.subject }}", DEAR_LOOP, "fallback[1].reasoning"),
    ],
)
def test_what_a_large_event_makes_too_dear_is_said(old: str, new: str, path: str) -> None:
    text = changed((old, new))
    [warning] = map(str, warnings_for(parse_charter(text, FILES), text))
    assert "more than" in warning
    assert path in warning
    assert int(warning.split(":")[0]) == text[: text.index(new)].count("\n") + 1


STEPS_OF_A_KIND = '1 == 1 && !case.history.exists(past, past.kind == "research")'


@pytest.mark.parametrize("actions", [5, 100])
def test_a_loop_over_the_steps_of_a_case_is_not_because_their_number_is_bounded(actions: int) -> None:
    text = changed(("decision.parameters.amount <= 100.0", STEPS_OF_A_KIND)) + f"bounds: {{actions: {actions}}}\n"
    assert warnings_for(parse_charter(text, FILES), text) == ()


def test_nor_does_the_bound_hide_a_loop_over_the_event_of_that_name() -> None:
    text = changed(('event.data.status == "open"', "event.data.history.all(x, event.data.history.exists(y, x == y))"))
    assert len(warnings_for(parse_charter(text, FILES), text)) == 1


def test_what_costs_as_much_as_the_data_is_large_is_not() -> None:
    text = changed(("asks for {{ event.subject }}", "{{ event.data.a | join(', ') }}"))
    assert warnings_for(parse_charter(text, FILES), text) == ()


@pytest.mark.parametrize("prompt", ["{{ '*' * 10**9 }}", "{{ actions | center(10**9) }}"])
def test_a_prompt_without_end_is_a_problem_of_the_charter(prompt: str) -> None:
    with pytest.raises(CharterInvalid, match=r"more than|takes more work"):
        parse_charter(CHARTER, {**FILES, "prompt.md": prompt})


def test_a_schema_that_asks_much_of_an_element_is_said() -> None:
    schema = "{items: {anyOf: [" + ", ".join(f"{{const: {{a: {number}}}}}" for number in range(100)) + "]}}"
    text = changed(("schema: ticket.schema.json", f"schema: {schema}"))
    [warning] = map(str, warnings_for(parse_charter(text, FILES), text))
    assert "schema: may refuse data of more than" in warning
    assert int(warning.split(":")[0]) == text[: text.index(schema)].count("\n") + 1


@pytest.mark.parametrize(("usd", "is_warned"), [("0.50", False), ("0.02", True), ("0.005", False)])
def test_a_case_that_may_cost_one_question_and_not_two_is_warned_of(usd: str, is_warned: bool) -> None:
    """Less than one is an error: tests/operations/test_charters.py."""
    text = changed(("per_case_usd: 0.50", f"per_case_usd: {usd}"))
    warnings = [str(warning) for warning in warnings_for(parse_charter(text, FILES), text)]
    assert [warning for warning in warnings if "and not for two" in warning] == (warnings if is_warned else [])
    assert bool(warnings) == is_warned


ALWAYS = ('when: event.data.text.contains("where")\n    action', "action")
WITHOUT_ESCALATION = (CHARTER[CHARTER.index("  escalate:\n") : CHARTER.index("  look:\n")], "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((), "one that neither a model nor a rule decides"),
        ((("decide:", "decide:\n  when_unavailable: wait"),), "one that has waited 21600 s for a model"),
        (
            (ALWAYS, ("message: no refund over 100", "message: no refund over 100\n    otherwise: escalate")),
            "one that the rule refund-cap turns down",
        ),
        ((ALWAYS,), "one in which respond fails"),
    ],
)
def test_a_charter_that_can_escalate_and_has_no_escalation_is_warned_of(
    changes: tuple[tuple[str, str], ...], words: str
) -> None:
    text = changed(WITHOUT_ESCALATION, *changes)
    [warning] = map(str, warnings_for(parse_charter(text, FILES), text))
    assert "actions: no action is of kind escalate" in warning
    assert warning.endswith(f"becomes a dead letter: {words}. Add one")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("urgent", "event.data.late", "fails for the event of example 1, so that such a case is not urgent"),
        ("urgent", "has(event.data.late) && event.data.late", ""),
        ("urgent", "event.data.text", "so that such a case is not urgent: returns str instead of true or false"),
        ("priority", "event.data.size", "fails for the event of example 1, so that such a case has the priority 0"),
        ("priority", "'has(event.data.size) ? 5 : 0'", ""),
    ],
)
def test_an_expression_about_the_place_in_the_queue_is_tried_on_the_examples(key: str, value: str, words: str) -> None:
    urgent, priority = (
        ("budget: {", f"budget: {{urgent: {value!r}, "),
        ("mode:", f"queue: {{priority: {value}}}\nmode:"),
    )
    text = changed(urgent if key == "urgent" else priority)
    warnings = [str(warning) for warning in warnings_for(parse_charter(text, FILES), text)]
    assert len(warnings) == bool(words)
    assert all(words in warning for warning in warnings)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("when_unavailable: escalate\n  wait_at_most: 2h", "has no effect"),
        ("wait_at_most: 2h", "has no effect, because when_unavailable is rules"),
        ("when_unavailable: wait\n  wait_at_most: 2h", ""),
    ],
)
def test_a_wait_that_never_happens_is_warned_of(keys: str, words: str) -> None:
    text = changed(("provider: [anthropic, rules]", f"provider: [anthropic, rules]\n  {keys}"))
    warnings = [str(warning) for warning in warnings_for(parse_charter(text, FILES), text)]
    assert bool(warnings) == bool(words)
    assert all(words in warning for warning in warnings)


def test_four_eyes_without_a_question_to_anybody_are_said() -> None:
    text = changed(("    confidence: 0.75\n", "    confidence: 0.75\n    four_eyes: {approvers: 2}\n"))
    [warning] = [str(one) for one in warnings_for(parse_charter(text, FILES), text)]
    assert "actions.respond.four_eyes" in warning
    assert "approval: below_threshold" in warning
    always = text.replace("four_eyes:", "approval: always\n    four_eyes:")
    assert not warnings_for(parse_charter(always, FILES), always)


@pytest.mark.parametrize(
    ("four_eyes", "problem"),
    [
        ("{}", "asks for nothing"),
        ("{approvers: 1}", "asks for nothing"),
        ("{approvers: 6}", "less than or equal to 5"),
        ("{requested_by: decision.parameters.who}", "decision"),
        ("{requested_by: ['event.subject', 'event.data.(']}", "requested_by.1"),
    ],
)
def test_four_eyes_that_say_nothing_are_an_error(four_eyes: str, problem: str) -> None:
    text = changed(("    approval: always\n", f"    approval: always\n    four_eyes: {four_eyes}\n"))
    with pytest.raises(CharterInvalid, match=problem) as caught:
        parse_charter(text, FILES)
    assert "actions.refund.four_eyes" in str(caught.value)
