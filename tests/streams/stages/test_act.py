"""Each step happens once, in order, and what came of it is kept, whatever happens in between."""

from datetime import timedelta

import orjson
import pytest

from processors import backoff
from schemas import ids
from schemas.records import BudgetEntry, Case, Decision, Reminder
from schemas.topics import ACT, BUDGET, DECIDE, LATER
from streams import charters
from streams.charters import CharterMissing, Control
from streams.ports import Performed
from streams.stages.act import Act
from streams.stages.calls import HALTED_RETRY_S
from streams.stages.errands import KEPT_S
from tests.processors.examples import case, compiled, event
from tests.streams.stages.bench import CODEC, Bench, Clock, Crash, Step, audited, in_force, order, said, words
from tests.streams.stages.world import BROKEN, BUSY, LATE, World, decision

CHARTER = compiled(("approval: always", "approval: never"))
CASE = case(CHARTER)
RESPOND = decision(CASE, text="tomorrow")
REFUND = decision(CASE, "refund", amount=50.0)
# A payment between two other steps, so that a crash can fall on either side of it.
PAY_THEN_NOTE = compiled(
    ("approval: always", "approval: never"),
    ("irreversible: true}\n", "irreversible: true}\n    - {do: history, with: {customer: c}}\n"),
)


def _bench(world: World, control: Control | None = None, crash_after: int | None = None) -> Bench:
    return Bench(Act(control or in_force(CHARTER, PAY_THEN_NOTE), world, Clock()), Step(crash_after))


async def test_the_steps_are_done_in_order_each_under_its_own_key() -> None:
    world = World()
    changes = await _bench(world).take(ACT, RESPOND)
    assert world.calls == [
        ("send", ids.step_id(RESPOND.decision_id, 0)),
        ("note", ids.step_id(RESPOND.decision_id, 1)),
    ]
    [record] = audited(changes)
    assert (record.kind, record.status, record.decision_id) == ("acted", "completed", RESPOND.decision_id)


async def test_the_same_record_again_does_nothing_and_says_the_same() -> None:
    world = World()
    bench = _bench(world)
    first, again = await bench.take(ACT, RESPOND), await bench.take(ACT, RESPOND)
    assert words(first) == words(again)
    assert world.handlers == ["send", "note"]


async def test_a_step_that_may_succeed_later_is_tried_again_when_it_is_due() -> None:
    world = World(send=[BUSY])
    bench = _bench(world)
    waits = await bench.take(ACT, RESPOND)
    [reminder] = said(waits, LATER, Reminder)
    first, longest_s = ids.step_id(RESPOND.decision_id, 0), backoff.LONGEST_S[0]
    assert (reminder.topic, reminder.due_at - Clock().now) == (
        "act",
        timedelta(seconds=backoff.delay_s(f"{first}:1", 1)),
    )
    assert longest_s / 2 <= (reminder.due_at - Clock().now).total_seconds() <= longest_s
    assert [(record.kind, record.status) for record in audited(waits)] == [("queued", "waiting")]
    again = await bench.take(ACT, CODEC.decode(Decision, reminder.value), offset=9)
    assert [record.status for record in audited(again)] == ["completed"]
    assert world.handlers == ["send", "send", "note"]
    assert world.calls[0] == world.calls[1], "under the same key"


async def test_after_the_last_retry_the_step_has_failed() -> None:
    world = World(send=[BUSY, BUSY, BUSY])
    bench = _bench(world)
    for offset in range(2):
        assert len(said(await bench.take(ACT, RESPOND, offset), LATER, Reminder)) == 1
    [record] = audited(await bench.take(ACT, RESPOND, 2))
    assert record.status == "failed"
    assert world.handlers == ["send"] * 3


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ((BUSY, BUSY, LATE), "unknown"),
        ((LATE, BUSY, BUSY), "unknown"),
        ((LATE, BROKEN), "unknown"),
        ((BUSY, BROKEN), "failed"),
        ((LATE,), "done"),
    ],
)
async def test_a_step_that_may_have_happened_at_any_call_has_not_failed(
    answers: tuple[Performed, ...], status: str
) -> None:
    bench = _bench(World(send=list(answers)))
    for offset in range(3):
        changes = await bench.take(ACT, RESPOND, offset)
    [record] = [record for record in audited(changes) if record.kind == "acted"]
    assert orjson.loads(record.detail)["outcomes"][0]["status"] == status


async def test_a_step_that_only_reads_leaves_no_doubt() -> None:
    bench = _bench(World(history=[LATE, LATE, LATE]))
    asked = decision(case(CHARTER, event(customer="c-1")), "look", "research")
    for offset in range(3):
        changes = await bench.take(ACT, asked, offset)
    [record] = [record for record in audited(changes) if record.kind == "acted"]
    assert orjson.loads(record.detail)["outcomes"][0]["status"] == "failed"


async def test_what_was_done_is_undone_when_a_later_step_fails() -> None:
    world = World(note=[BROKEN])
    [record] = audited(await _bench(world).take(ACT, RESPOND))
    assert record.status == "failed"
    assert world.handlers == ["send", "note", "unsend"]


async def test_a_crash_in_the_midst_of_a_call_that_cannot_be_repeated_leaves_it_unknown() -> None:
    world = World()
    dead = _bench(world, crash_after=1)  # the intent is recorded, and the process is gone
    with pytest.raises(Crash):
        await dead.take(ACT, REFUND)
    [record] = audited(await _bench(world).inherit(dead).take(ACT, REFUND))
    assert '"status":"unknown"' in record.detail
    assert world.handlers == [], "never a second try"


async def test_a_crash_before_the_intent_is_recorded_leaves_nothing_begun() -> None:
    world = World()
    dead, alive = _bench(world), _bench(world)
    await alive.inherit(dead).take(ACT, REFUND)
    assert world.handlers == ["pay"]


async def test_a_crash_after_a_step_does_only_what_is_left() -> None:
    world = World(once=("pay", "history"))
    paid = decision(case(PAY_THEN_NOTE), "refund", amount=50.0)
    dead = _bench(world, crash_after=2)  # the second intent carries the first outcome
    with pytest.raises(Crash):
        await dead.take(ACT, paid)
    assert world.handlers == ["pay"]
    [record] = audited(await _bench(world).inherit(dead).take(ACT, paid))
    assert world.handlers == ["pay"]
    assert '"status":"done"' in record.detail
    assert '"status":"unknown"' in record.detail


async def test_after_an_order_to_stop_nothing_acts_until_it_is_taken_back() -> None:
    control, world = in_force(CHARTER), World()
    bench = _bench(world, control)
    control.obey(order("stop_all", "*", "*", reason="night"))
    for offset in range(5):
        [reminder] = said(await bench.take(ACT, RESPOND, offset), LATER, Reminder)
        assert (reminder.due_at - Clock().now).total_seconds() == HALTED_RETRY_S
        assert "night" in reminder.reason
    assert world.calls == []
    control.obey(order("resume", "*", "*"))
    [record] = audited(await bench.take(ACT, RESPOND, 5))
    assert record.status == "completed"
    assert '"attempts":1' in record.detail, "an order to stop costs no attempt"


async def test_an_order_to_stop_between_two_steps_loses_nothing_of_the_first() -> None:
    control = in_force(PAY_THEN_NOTE)

    class Stopped(World):
        async def perform(self, *call: object) -> object:  # type: ignore[override]  # the order comes during the call
            done = await super().perform(*call)  # type: ignore[arg-type]
            if len(self.calls) == 1:
                control.obey(order("pause", "desk", "desk", reason="wait"))
            return done

    world = Stopped()
    bench = _bench(world, control)
    paid = decision(case(PAY_THEN_NOTE), "refund", amount=50.0)
    assert len(said(await bench.take(ACT, paid), LATER, Reminder)) == 1
    control.obey(order("resume", "desk", "desk"))
    [record] = audited(await _bench(world, control).inherit(bench).take(ACT, paid, 1))
    assert (record.status, world.handlers) == ("completed", ["pay", "history"])


async def test_a_decision_that_its_charter_would_not_make_is_refused_here_too() -> None:
    world = World()
    for wrong in (decision(CASE, "refund", amount=500.0), decision(CASE, "burn"), decision(CASE, "respond")):
        [record] = audited(await _bench(world).take(ACT, wrong))
        assert record.status == "refused"
    assert world.calls == []


async def test_research_comes_back_as_the_next_step() -> None:
    asked = decision(case(CHARTER, event(customer="c-1")), "look", "research")
    changes = await _bench(World()).take(ACT, asked)
    [asks] = said(changes, BUDGET, BudgetEntry)
    assert (asks.kind, asks.step, asks.case_id) == ("reserve", 1, CASE.case_id)
    assert asks.case is not None
    assert (asks.case.step, asks.case.reserved_microusd) == (1, 0)
    assert asks.case.history[0].outcomes[0].status == "done"
    assert said(changes, DECIDE, Case) == []


async def test_a_case_that_a_person_is_to_have_needs_no_money() -> None:
    bounds = compiled(("limits: {per_subject: 5/1h}", "limits: {per_subject: 5/1h}\nbounds: {actions: 1}"))
    asked = decision(case(bounds, event(customer="c-1")), "look", "research")
    changes = await _bench(World(), in_force(bounds)).take(ACT, asked)
    [following] = said(changes, DECIDE, Case)
    assert "bounds.actions" in following.escalate_because
    assert said(changes, BUDGET, BudgetEntry) == []


async def test_a_wait_comes_back_when_it_is_over() -> None:
    changes = await _bench(World()).take(ACT, decision(CASE, "wait", "wait", after="2h"))
    [reminder] = said(changes, LATER, Reminder)
    assert (reminder.topic, (reminder.due_at - Clock().now).total_seconds()) == ("budget", 7200)
    assert reminder.key == CHARTER.agent, "the ledger of an agent has one writer"
    asks = CODEC.decode(BudgetEntry, reminder.value)
    assert (asks.kind, asks.step) == ("reserve", 1)


async def test_a_charter_that_was_never_applied_here_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charters, "WAIT_S", 0.0)
    with pytest.raises(CharterMissing, match="nightdesk charter apply"):
        await _bench(World(), Control()).take(ACT, RESPOND)


async def test_what_was_done_long_ago_is_forgotten() -> None:
    clock = Clock()
    bench = Bench(Act(in_force(CHARTER), World(), clock))
    await bench.take(ACT, RESPOND)
    clock.forward(KEPT_S + 1)
    bench.tick()
    assert len(bench.tables["progress"]) == 0
