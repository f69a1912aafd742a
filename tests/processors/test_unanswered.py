"""What passes makes a step wait, within a bound; what does not pass goes to the rules or to a person at once."""

from datetime import timedelta

import pytest

from nightdesk.processors.charter import CompiledCharter, compile_charter, parse_charter
from nightdesk.processors.deciding import AskModel, decide
from nightdesk.processors.model import ModelReply, ModelUnavailable
from nightdesk.processors.unanswered import GivenBack
from nightdesk.schemas.records import Case, Decision, Fallback
from tests.processors.examples import CHARTER as CHARTER_TEXT
from tests.processors.examples import FILES, NOW, answer, case, compiled, reply

HOUR = timedelta(hours=1)


def _charter(policy: str = "") -> CompiledCharter:
    keys = f"\n  when_unavailable: {policy}" if policy else ""
    return compiled(("provider: [anthropic, rules]", f"provider: [anthropic, rules]{keys}\n  wait_at_most: 2h"))


WAITS, BY_RULES, ESCALATES = _charter("wait"), _charter("rules"), _charter("escalate")


def _none(*reasons: str, retryable: bool = True, cost: int = 0) -> ModelUnavailable:
    fallbacks = tuple(
        Fallback(provider="anthropic", reason=reason, detail="said so", called=True) for reason in reasons
    )
    return ModelUnavailable(reasons=fallbacks, retryable=retryable, unanswered_cost_microusd=cost)


PASSES, LASTS = _none("rate_limited"), _none("authentication", retryable=False)
REFUSED, STOPPED = _none("refused", retryable=False, cost=30), _none("stopped")


def end_of(
    charter: CompiledCharter, replies: list[ModelReply | ModelUnavailable], case_: Case | None = None
) -> Decision | GivenBack:
    flow = decide(case_ or case(charter), charter, NOW)
    left = list(replies)
    try:
        question = next(flow)
        while True:
            assert isinstance(question, AskModel)
            question = flow.send(left.pop(0))
    except StopIteration as end:
        assert not left
        found: Decision | GivenBack = end.value
        return found


def waiting(charter: CompiledCharter, hours: float) -> Case:
    return case(charter).model_copy(update={"returns": 3, "returned_microusd": 40, "waits_since": NOW - hours * HOUR})


@pytest.mark.parametrize(
    ("charter", "reply_", "outcome"),
    [
        (WAITS, PASSES, "unavailable"),
        (BY_RULES, PASSES, "rules"),
        (ESCALATES, PASSES, "a person"),
        (_charter(), PASSES, "rules"),
        *((charter, LASTS, "rules") for charter in (WAITS, BY_RULES, ESCALATES)),
        *((charter, REFUSED, "a person") for charter in (WAITS, BY_RULES, ESCALATES)),
        *((charter, STOPPED, "paused") for charter in (WAITS, BY_RULES, ESCALATES)),
    ],
)
def test_what_becomes_of_a_step_without_an_answer(
    charter: CompiledCharter, reply_: ModelUnavailable, outcome: str
) -> None:
    end = end_of(charter, [reply_])
    if isinstance(end, GivenBack):
        assert (end.cause, end.cost_microusd) == (outcome, 0)
        return
    assert ("a person" if end.provider == "none" else end.provider) == outcome
    assert (end.kind == "escalate") == (outcome == "a person")
    assert end.fallbacks[0] == reply_.reasons[0]
    assert outcome == "rules" or reply_.why() in end.reasoning, "the person reads why"


def test_without_rules_a_step_waits_by_default_and_what_lasts_goes_to_a_person() -> None:
    text = CHARTER_TEXT[: CHARTER_TEXT.index("fallback:")].replace("[anthropic, rules]", "anthropic")
    charter = compile_charter(parse_charter(text, FILES))
    assert isinstance(end_of(charter, [PASSES]), GivenBack)
    lasts = end_of(charter, [LASTS])
    assert isinstance(lasts, Decision)
    assert (lasts.kind, "authentication (said so)" in lasts.reasoning) == ("escalate", True)
    stopped = end_of(charter, [STOPPED])
    assert isinstance(stopped, GivenBack)
    assert stopped.cause == "paused"


@pytest.mark.parametrize(("hours", "waits_on"), [(0.0, True), (1.999, True), (2.0, False), (30.0, False)])
def test_a_step_waits_as_long_as_its_charter_says_counted_from_when_it_first_waited(
    hours: float, waits_on: bool
) -> None:
    end = end_of(WAITS, [PASSES], waiting(WAITS, hours))
    if waits_on:
        assert isinstance(end, GivenBack)
        assert end.reason.startswith("waits for a model: ")
    else:
        assert isinstance(end, Decision)
        assert (end.kind, end.provider) == ("escalate", "none")
        assert f"no model was available for {int(hours * 3600)} s" in end.reasoning


def test_a_step_that_has_waited_too_long_for_a_model_still_waits_for_an_order() -> None:
    end = end_of(WAITS, [STOPPED], waiting(WAITS, 30))
    assert isinstance(end, GivenBack)
    assert end.cause == "paused"


def test_a_step_that_is_given_back_costs_what_its_questions_may_have_cost() -> None:
    charged = _none("timeout", cost=70)
    for case_, cost in ((case(WAITS), 1070), (waiting(WAITS, 1), 1070)):
        end = end_of(WAITS, [reply("nonsense", cost_microusd=1000), charged], case_)
        assert isinstance(end, GivenBack)
        assert end.cost_microusd == cost
    again = end_of(WAITS, [PASSES], waiting(WAITS, 1))
    assert isinstance(again, GivenBack)
    assert again.cost_microusd == 40, "what it had cost before"


def test_votes_that_are_half_way_wait_for_the_rest() -> None:
    first = reply(answer("refund", amount=50.0), cost_microusd=1000)
    end = end_of(WAITS, [first, PASSES])
    assert isinstance(end, GivenBack)
    assert end.cost_microusd == 1000
    agreed = end_of(WAITS, [first, first])
    assert isinstance(agreed, Decision)
    assert agreed.action == "refund"


@pytest.mark.parametrize(
    ("charter", "second", "case_hours"),
    [(BY_RULES, PASSES, 0.0), (ESCALATES, PASSES, 0.0), (WAITS, LASTS, 0.0), (WAITS, REFUSED, 0.0), (WAITS, PASSES, 3)],
)
def test_votes_that_are_half_way_and_cannot_wait_need_a_person(
    charter: CompiledCharter, second: ModelUnavailable, case_hours: float
) -> None:
    case_ = waiting(charter, case_hours) if case_hours else case(charter)
    end = end_of(charter, [reply(answer("refund", amount=50.0)), second], case_)
    assert isinstance(end, Decision)
    assert (end.disposition, end.verdicts[-1].passed) == ("needs_approval", False)


def test_what_a_step_had_cost_before_it_was_given_back_is_part_of_its_decision() -> None:
    handed_over = waiting(WAITS, 3).model_copy(update={"escalate_because": "it waited too long"})
    for end in (
        end_of(WAITS, [], handed_over),
        end_of(WAITS, [reply(answer("look"), cost_microusd=30)], waiting(WAITS, 1)),
    ):
        assert isinstance(end, Decision)
        assert end.cost_microusd == end.case.spent.cost_microusd == 40
    dear = end_of(WAITS, [reply(answer("look"), cost_microusd=50)], waiting(WAITS, 1))
    assert isinstance(dear, Decision)
    assert dear.cost_microusd == 50, "the replies that it had then are among those that count now"
