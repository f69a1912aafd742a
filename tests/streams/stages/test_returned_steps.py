"""A step that cannot be decided now is given back, in the order of its subject, and nothing is bought twice for it."""

from collections.abc import Sequence

import pytest

from nightdesk.processors.breaker import CallReport, Result
from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.ledger.entries import returned
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable, WhyNot
from nightdesk.schemas.records import BudgetEntry, Case, Decision, Fallback
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE
from nightdesk.streams.stages.circuits import Circuits
from nightdesk.streams.stages.decide import BREAKER, Decide
from tests.processors.examples import NOW, answer, case, compiled, event, reply
from tests.streams.stages.stage_harness import Bench, Clock, Crash, Step, in_force, order, said, words
from tests.streams.stages.test_decide import Model

CHARTER = compiled(("provider: [anthropic, rules]", "provider: [anthropic, rules]\n  when_unavailable: wait"))
CASE = case(CHARTER)
BUSY = Fallback(provider="anthropic", reason="rate_limited", detail="429", called=True)
AWAY = ModelUnavailable(reasons=(BUSY,), retryable=True)
CHARGED = ModelUnavailable(reasons=(BUSY,), retryable=True, unanswered_cost_microusd=70)
GOOD = reply(answer("respond", text="tomorrow"), cost_microusd=1000)
VOTE = reply(answer("refund", amount=50.0), cost_microusd=500)


def _bench(
    *answers: ModelReply | ModelUnavailable,
    charter: CompiledCharter = CHARTER,
    clock: Clock | None = None,
    crash_after: int | None = None,
) -> tuple[Bench, Model]:
    model = Model(*answers)
    return Bench(Decide(in_force(charter), model, clock or Clock()), Step(crash_after)), model


def _other(number: int, subject: str = "t-1") -> Case:
    return case(CHARTER, event().model_copy(update={"id": f"e-{number}", "subject": subject}))


async def _given_back(bench: Bench, record: Case, offset: int = 0) -> Case:
    """The case as it comes again."""
    writes = await bench.take(DECIDE, record, offset)
    [entry] = said(writes, BUDGET, BudgetEntry)
    assert entry.kind == "returned", entry
    assert said(writes, ACT, Decision) == []
    assert entry.case is not None
    return entry.case


async def test_a_step_for_which_no_model_is_available_is_given_back_and_asks_again_when_it_comes_again() -> None:
    bench, model = _bench(AWAY, AWAY, GOOD)
    first = await bench.take(DECIDE, CASE)
    [entry] = said(first, BUDGET, BudgetEntry)
    assert (entry.kind, entry.cause, entry.amount_microusd, entry.step) == ("returned", "unavailable", 0, 0)
    assert words(await bench.take(DECIDE, CASE)) == words(first), "redelivered, it says the same"
    assert len(model.asked) == 1, "and asks nobody"
    assert entry.case is not None
    again = await _given_back(bench, entry.case, 1)
    assert (again.returns, again.waits_since) == (2, NOW)
    [made] = said(await bench.take(DECIDE, again, 2), ACT, Decision)
    assert (made.action, made.cost_microusd, len(model.asked)) == ("respond", 1000, 3)


async def test_the_entry_says_when_a_provider_may_be_asked_again() -> None:
    clock = Clock()
    circuits = Circuits("decide", BREAKER, clock)
    bench = Bench(Decide(in_force(CHARTER), Model(AWAY, AWAY), clock, circuits))
    [soon] = said(await bench.take(DECIDE, CASE), BUDGET, BudgetEntry)
    assert soon.retry_after_s == 0, "one failure proves nothing"
    for _ in range(BREAKER.failures_to_open):
        generation = circuits.admit("anthropic")
        assert generation is not None
        circuits.record("anthropic", CallReport(generation, Result.FAILED, 90.5))
    [later] = said(await bench.take(DECIDE, _other(2, "t-2")), BUDGET, BudgetEntry)
    assert later.retry_after_s == 91


async def test_what_may_have_been_charged_is_kept_over_every_return() -> None:
    bench, model = _bench(CHARGED, CHARGED, GOOD)
    again = await _given_back(bench, CASE)
    assert again.returned_microusd == 70
    third = await _given_back(bench, again, 1)
    assert third.returned_microusd == 140
    writes = await bench.take(DECIDE, third, 2)
    [settled] = said(writes, BUDGET, BudgetEntry)
    assert (settled.kind, settled.amount_microusd, len(model.asked)) == ("settle", 1140, 3)


async def test_no_reply_that_was_recorded_is_bought_again_however_long_its_step_waits() -> None:
    clock = Clock()
    bench, model = _bench(VOTE, CHARGED, VOTE, clock=clock)
    again = await _given_back(bench, CASE)
    assert again.returned_microusd == 570
    clock.forward(5 * 3_600)
    bench.tick()
    [made] = said(await bench.take(DECIDE, again, 1), ACT, Decision)
    assert (made.action, made.verdicts[-1].passed, len(model.asked)) == ("refund", True, 3)
    assert made.cost_microusd == 1070


async def test_a_vote_that_is_half_way_when_its_agent_is_paused_goes_on_after_the_weekend() -> None:
    clock, control = Clock(), in_force(CHARTER)

    class PausedMeanwhile(Model):
        async def ask(
            self, providers: Sequence[str], request: ModelRequest, agent: str, why_not: WhyNot
        ) -> ModelReply | ModelUnavailable:
            answer = await super().ask(providers, request, agent, why_not)
            control.apply(order("pause", agent, agent))
            return answer

    model = PausedMeanwhile(VOTE, VOTE)
    bench = Bench(Decide(control, model, clock))
    waits = await _given_back(bench, CASE)
    assert (waits.returned_microusd, waits.waits_since) == (500, None)
    clock.forward(62 * 3_600)
    bench.tick()
    control.apply(order("resume", "desk", "desk"))
    [made] = said(await bench.take(DECIDE, waits, 1), ACT, Decision)
    assert (made.verdicts[-1].passed, made.cost_microusd, len(model.asked)) == (True, 1000, 2)


async def test_a_question_that_a_crash_lost_stays_charged_over_a_return() -> None:
    dead, _ = _bench(crash_after=1)
    with pytest.raises(Crash):
        await dead.take(DECIDE, CASE)
    bench, model = _bench(AWAY, GOOD)
    again = await _given_back(bench.inherit(dead), CASE)
    lost = again.returned_microusd
    assert lost > 0
    [made] = said(await bench.take(DECIDE, again, 1), ACT, Decision)
    assert (made.cost_microusd, len(model.asked)) == (1000 + lost, 2)


async def test_earlier_failures_never_cost_more_than_was_reserved() -> None:
    """Then no further question is asked, and a person gets the case or the rules decide."""
    dear = CHARGED.model_copy(update={"unanswered_cost_microusd": CASE.reserved_microusd - 10})
    bench, model = _bench(dear)
    again = await _given_back(bench, CASE)
    [made] = said(await bench.take(DECIDE, again, 1), ACT, Decision)
    assert (made.provider, made.cost_microusd, len(model.asked)) == ("rules", CASE.reserved_microusd - 10, 1)


async def test_a_crash_before_the_entry_is_out_gives_the_same_step_back() -> None:
    dead, _ = _bench(AWAY, crash_after=2)
    with pytest.raises(Crash):
        await dead.take(DECIDE, CASE)
    bench, model = _bench()
    again = await _given_back(bench.inherit(dead), CASE)
    assert (again.returns, model.asked) == (1, [])


async def test_later_cases_of_the_subject_do_not_overtake_a_step_that_was_given_back() -> None:
    bench, model = _bench(AWAY, GOOD, GOOD, GOOD)
    first = await _given_back(bench, CASE)
    second = await _given_back(bench, _other(2), 1)
    assert len(model.asked) == 1, "the second does not even ask"
    [free] = said(await bench.take(DECIDE, _other(3, "t-2"), 2), ACT, Decision)
    assert free.case.event.id == "e-3", "another subject goes on"
    made = [
        said(await bench.take(DECIDE, each, 3 + number), ACT, Decision)[0]
        for number, each in enumerate((first, second))
    ]
    assert [decision.case.event.id for decision in made] == ["e-1", "e-2"]
    assert len(bench.tables["returned"]) == 0


async def test_a_case_that_comes_again_is_never_held_up_by_one_that_never_does() -> None:
    """The case in front may have ended in the budget stage."""
    bench, _ = _bench(AWAY, GOOD)
    await _given_back(bench, CASE)
    second = await _given_back(bench, _other(2), 1)
    [made] = said(await bench.take(DECIDE, second, 2), ACT, Decision)
    assert made.case.event.id == "e-2"


async def test_a_case_for_a_person_passes_those_that_wait() -> None:
    bench, _ = _bench(AWAY)
    await _given_back(bench, CASE)
    handed_over = _other(2).model_copy(update={"escalate_because": "the money is spent"})
    [made] = said(await bench.take(DECIDE, handed_over, 1), ACT, Decision)
    assert made.kind == "escalate"


def test_an_entry_is_the_same_for_the_same_return() -> None:
    again = returned(CASE, "unavailable", "r", 0, NOW).case
    assert again is not None
    ids = [returned(each, "unavailable", "r", 0, NOW).entry_id for each in (CASE, CASE, again)]
    assert ids[0] == ids[1] != ids[2]
