"""The anomaly breaker pauses an agent once, gives the reason, and starts a new window when somebody has resumed it."""

from datetime import timedelta
from typing import Any

import pytest

from nightdesk.processors.ledger.entries import closing, closing_by_dead_letter, reservation, settlement
from nightdesk.schemas.records import BudgetEntry, Case, ControlCommand, Decision
from nightdesk.schemas.topics import ACT, BUDGET, CONTROL, DECIDE
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.stages import anomalies
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.anomalies import ANOMALY_BREAKER
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.decide import Decide
from tests.processors.examples import NOW, answer, case, compiled, event, reply
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, order, said, words
from tests.streams.stages.test_decide import Model
from tests.streams.stages.world import BROKEN, World, decision

WATCHED = ("mode: live", "mode: live\nanomalies: {window: 1h, at_least: 3, low_confidence_rate: 0.2, error_rate: 0.2}")
CHARTER = compiled(WATCHED)


def _case(number: int) -> Case:
    return case(CHARTER, event().model_copy(update={"id": f"e-{number}"}), reserved_microusd=0)


def _bench(control: Control | None = None, clock: Clock | None = None) -> Bench:
    return Bench(Budget(control or in_force(CHARTER), clock or Clock()))


def _settled(number: int, *, doubtful: bool, at_s: float = 0.0) -> BudgetEntry:
    made = decision(_case(number)).model_copy(update={"decided_at": Clock(NOW).now, "low_confidence": doubtful})
    entry = settlement(made)
    return entry.model_copy(update={"time": entry.time.fromtimestamp(NOW.timestamp() + at_s, NOW.tzinfo)})


async def _doubt(bench: Bench, numbers: range, at_s: float = 0.0) -> list[StagedWrites]:
    """One case after the other with low confidence; returns the result of each."""
    found = []
    for number in numbers:
        await bench.take(BUDGET, reservation(_case(number), NOW), offset=10 * number)
        found.append(await bench.take(BUDGET, _settled(number, doubtful=True, at_s=at_s), offset=10 * number + 1))
    return found


def _pauses(writes: StagedWrites) -> list[ControlCommand]:
    return said(writes, CONTROL, ControlCommand)


async def test_an_agent_out_of_its_bounds_is_paused_once_and_it_is_said_why() -> None:
    found = await _doubt(_bench(), range(6))
    assert [len(_pauses(writes)) for writes in found] == [0, 0, 1, 0, 0, 0]
    [pause] = _pauses(found[2])
    assert (pause.kind, pause.agent, pause.key, pause.issued_by) == ("pause", "desk", "desk", ANOMALY_BREAKER)
    assert pause.reason == "3 of 3 decisions were below the confidence that their action needs, at most 20% expected"
    [record] = audited(found[2])
    assert (record.kind, record.agent, record.case_id, record.reason) == ("control", "desk", None, pause.reason)
    assert [message.partition for message in found[2].messages if message.topic == "t.control"] == [0]


async def test_the_record_that_paused_says_the_same_when_it_comes_again_also_to_a_new_process() -> None:
    clock = Clock()
    bench = _bench(clock=clock)
    found = await _doubt(bench, range(3))
    clock.forward(60)
    again = await bench.take(BUDGET, _settled(2, doubtful=True), offset=21)
    assert words(again) == words(found[2])
    new = _bench(clock=clock).inherit(bench)
    assert words(await new.take(BUDGET, _settled(2, doubtful=True), offset=21)) == words(found[2])
    assert words(await new.take(BUDGET, _settled(2, doubtful=True), offset=22)) == [], "a copy elsewhere says nothing"


async def test_after_a_resume_a_new_window_begins() -> None:
    control, clock = in_force(CHARTER), Clock()
    bench = _bench(control, clock)
    [*_, last] = await _doubt(bench, range(3))
    control.apply(_pauses(last)[0])
    clock.forward(60)
    control.apply(order("resume", "desk", "desk", time=clock.now))
    found = await _doubt(bench, range(3, 6), at_s=61)
    assert [len(_pauses(writes)) for writes in found] == [0, 0, 1]


async def test_a_resume_by_a_clock_that_is_ahead_counts_from_when_it_was_seen() -> None:
    control, clock = in_force(CHARTER), Clock()
    bench = _bench(control, clock)
    [*_, last] = await _doubt(bench, range(3))
    control.apply(_pauses(last)[0])
    clock.forward(60)
    control.apply(order("resume", "desk", "desk", time=clock.now + timedelta(hours=1)))
    found = await _doubt(bench, range(3, 6), at_s=61)
    assert [len(_pauses(writes)) for writes in found] == [0, 0, 1], "not for what lay before, and not an hour late"


async def test_a_pause_by_a_clock_that_was_ahead_does_not_stand_for_the_next() -> None:
    control, clock = in_force(CHARTER), Clock()
    bench = _bench(control, clock)
    clock.forward(3_600)
    [*_, last] = await _doubt(bench, range(3), at_s=3_600)
    control.apply(_pauses(last)[0])
    clock.forward(-3_540)
    control.apply(order("resume", "desk", "desk", time=clock.now))
    found = await _doubt(bench, range(3, 6), at_s=61)
    assert any(_pauses(writes) for writes in found)


async def test_who_is_paused_by_a_person_is_not_paused_again() -> None:
    control = in_force(CHARTER)
    control.apply(order("pause", "desk", "desk"))
    assert not any(_pauses(writes) for writes in await _doubt(_bench(control), range(6)))


async def test_a_new_process_has_seen_what_the_old_one_saw() -> None:
    old = _bench()
    await _doubt(old, range(2))
    [found] = await _doubt(_bench().inherit(old), range(2, 3))
    assert len(_pauses(found)) == 1


async def test_what_another_process_saw_meanwhile_counts_when_the_partition_comes_back() -> None:
    """The window from before the move would not have it."""
    bench = _bench()
    await _doubt(bench, range(1))
    other = _bench().inherit(bench)
    await _doubt(other, range(1, 2))
    [found] = await _doubt(bench.inherit(other), range(2, 3))
    assert len(_pauses(found)) == 1


async def test_changed_bounds_are_compared_when_the_window_is_read_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anomalies, "FACTS_AT_ONCE", 1)
    budget = Budget(in_force(CHARTER), Clock())
    bench = Bench(budget)
    await _doubt(bench, range(2))
    budget._breaker.recovered()  # as after a change of the bounds: there is no detector for them
    [found] = await _doubt(bench, range(2, 3))
    assert not _pauses(found), "one of three facts is read, and one in a row is no share of a window"
    for _ in range(3):
        bench.tick()
    [found] = await _doubt(bench, range(3, 4))
    [pause] = _pauses(found)
    assert pause.reason.startswith("4 of 4 decisions")


async def test_playbooks_that_fail_pause_it_too() -> None:
    bench = _bench()
    found = []
    for number in range(3):
        await bench.take(BUDGET, reservation(_case(number), NOW))
        await bench.take(BUDGET, _settled(number, doubtful=False))
        failed = closing(decision(_case(number)), NOW, failed=True)
        found = _pauses(await bench.take(BUDGET, failed, offset=number))
    assert [pause.reason for pause in found] == [
        "3 of 3 cases had a failed step, an unknown result or a dead letter, at most 20% expected"
    ]


async def test_where_nobody_watches_nothing_is_paused_and_no_line_is_said() -> None:
    free = compiled()
    control = in_force(CHARTER, free)
    assert not any(_pauses(writes) for writes in await _doubt(_bench(control), range(6)))
    made = decision(case(free), text="x")
    acted = await Bench(Act(in_force(free), World(), Clock())).take(ACT, made)
    assert said(acted, BUDGET, BudgetEntry) == []


@pytest.mark.parametrize(("answers", "failed"), [({}, False), ({"send": [BROKEN]}, True)])
async def test_act_says_how_a_playbook_went(answers: dict[str, Any], failed: bool) -> None:
    bench = Bench(Act(in_force(CHARTER), World(**answers), Clock()))
    [line] = said(await bench.take(ACT, decision(case(CHARTER), text="x")), BUDGET, BudgetEntry)
    assert (line.kind, line.failed, line.agent) == ("ended", failed, "desk")


async def test_decide_says_how_sure_it_was_also_where_nothing_was_held() -> None:
    model = Model(reply(answer("respond", confidence=0.3, text="x")))
    free = case(CHARTER, event(text="hm"), reserved_microusd=0)
    for asked, doubtful in ((case(CHARTER), True), (free, False)):
        writes = await Bench(Decide(in_force(CHARTER), model, Clock())).take(DECIDE, asked)
        [line] = said(writes, BUDGET, BudgetEntry)
        assert (line.low_confidence, line.undecided) == (doubtful, not doubtful)
        assert len(said(writes, ACT, Decision)) == 1


RULED = compiled(
    WATCHED, ("    message: no refund over 100", "    otherwise: escalate\n    message: no refund over 100")
)


@pytest.mark.parametrize(
    ("said_by_model", "low_confidence", "undecided"),
    [
        (answer("refund", confidence=0.95, amount=500), False, False),  # a rule hands it over: the rule works
        (answer("refund", confidence=0.5, amount=500), True, False),
        (answer("refund", confidence=0.95, amount=50), False, False),
        (answer("escalate", confidence=0.1, reason="angry"), False, False),  # an escalation needs no confidence
        (answer("respond", confidence=0.3, text="x"), True, False),
        ("I cannot say", False, True),  # not usable, and no rule matches
    ],
)
async def test_what_counts_is_what_its_name_says(said_by_model: str, low_confidence: bool, undecided: bool) -> None:
    asked = case(RULED, event(text="hm"))
    votes = [reply(said_by_model)] * 3
    writes = await Bench(Decide(in_force(RULED), Model(*votes), Clock())).take(DECIDE, asked)
    [line] = said(writes, BUDGET, BudgetEntry)
    assert (line.low_confidence, line.undecided, line.latency_ms) == (low_confidence, undecided, line.latency_ms)
    [decided] = audited(writes)
    assert (f'"low_confidence":{low_confidence}'.lower()) in decided.detail
    assert (f'"undecided":{undecided}'.lower()) in decided.detail


async def test_a_case_that_goes_to_a_person_because_the_money_is_spent_was_not_undecided() -> None:
    spent = case(CHARTER, escalate_because="the money of the day is spent")
    [line] = said(await Bench(Decide(in_force(CHARTER), Model(), Clock())).take(DECIDE, spent), BUDGET, BudgetEntry)
    assert (line.low_confidence, line.undecided) == (False, False)


async def test_a_dead_letter_of_a_case_counts_as_a_failure() -> None:
    bench = _bench()
    for number in range(3):
        await bench.take(BUDGET, reservation(_case(number), NOW), offset=2 * number)
        found = await bench.take(BUDGET, closing_by_dead_letter(_case(number), NOW), offset=2 * number + 1)
    [pause] = _pauses(found)
    assert pause.reason.startswith("3 of 3 cases had a failed step")


# -- bounds that observe, and bounds on money and refusals


def _with(bounds: str) -> Any:
    return compiled(("mode: live", f"mode: live\nanomalies: {{window: 1h, at_least: 3, {bounds}}}"))


async def _refuse(bench: Bench, charter: Any, numbers: range, cost: int = 0) -> list[StagedWrites]:
    found = []
    for number in numbers:
        refused = case(charter, event().model_copy(update={"id": f"e-{number}"}), reserved_microusd=0)
        made = decision(refused).model_copy(update={"disposition": "refused", "cost_microusd": cost})
        found.append(await bench.take(BUDGET, settlement(made), offset=number))
    return found


async def test_a_bound_that_observes_stops_nobody_and_says_once_that_it_would_have() -> None:
    charter, clock = _with("refusal_rate: 0.2"), Clock()
    bench = _bench(in_force(charter), clock)
    found = await _refuse(bench, charter, range(6))
    assert [_pauses(writes) for writes in found] == [[]] * 6
    assert [len(audited(writes)) for writes in found] == [0, 0, 1, 0, 0, 0]
    [record] = audited(found[2])
    assert (record.kind, record.agent) == ("control", "desk")
    assert record.reason == "observed: 3 of 3 decisions were refused, at most 20% expected"
    assert '"would":"pause"' in record.detail
    again = await _refuse(_bench(in_force(charter), clock).inherit(bench), charter, range(2, 3))
    assert words(again[0]) == words(found[2]), "the record that was one too many says the same when it comes again"
    clock.forward(3601)
    later = await _refuse(bench, charter, range(6, 10))
    assert [len(audited(writes)) for writes in later] == [0, 0, 0, 0], "what is older than the window counts no more"


async def test_the_same_bound_stops_when_the_charter_says_enforce() -> None:
    charter = _with("refusal_rate: 0.2, mode: enforce")
    found = await _refuse(_bench(in_force(charter)), charter, range(5))
    assert [[order.kind for order in _pauses(writes)] for writes in found] == [[], [], ["pause"], [], []]


async def test_who_spends_too_much_may_ask_no_model_either() -> None:
    charter = _with("spend_usd: 0.03, mode: enforce")
    control = in_force(charter)
    found = await _refuse(_bench(control), charter, range(4), cost=16_000)
    orders = [order for writes in found for order in _pauses(writes)]
    assert [(order.kind, order.agent, order.key) for order in orders] == [("stop_all", "desk", "desk")]
    assert orders[0].reason == "0.032000 dollars were spent in 3600 s, at most 0.03 expected"
    control.apply(orders[0])
    model = Model(reply(answer("respond", text="x")))
    waits = await Bench(Decide(control, model, Clock())).take(DECIDE, case(charter))
    assert (model.asked, said(waits, ACT, Decision)) == ([], [])
    control.apply(order("resume", "desk", "desk"))
    assert control.stopped("desk") is None


async def test_who_is_paused_already_is_stopped_when_it_goes_on_spending() -> None:
    charter = _with("refusal_rate: 0.2, spend_usd: 0.08, mode: enforce")
    found = await _refuse(_bench(in_force(charter)), charter, range(7), cost=16_000)
    kinds = [[order.kind for order in _pauses(writes)] for writes in found]
    assert kinds == [[], [], ["pause"], [], [], ["stop_all"], []]


async def test_a_mode_that_observes_holds_for_the_older_bounds_too() -> None:
    charter = _with("low_confidence_rate: 0.2, mode: observe")
    bench = _bench(in_force(charter))
    found = []
    for number in range(4):
        doubtful = decision(case(charter, event().model_copy(update={"id": f"e-{number}"}), reserved_microusd=0))
        doubtful = doubtful.model_copy(update={"low_confidence": True})
        found.append(await bench.take(BUDGET, settlement(doubtful), offset=number))
    assert [_pauses(writes) for writes in found] == [[]] * 4
    assert ['"order":"observed"' in record.detail for writes in found for record in audited(writes)] == [True]
