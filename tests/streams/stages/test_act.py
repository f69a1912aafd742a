"""Each step happens once and in order, and its outcome is stored, whatever happens in between."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from nightdesk.processors import backoff
from nightdesk.processors.execution import BREAKER
from nightdesk.processors.playbook import StepResult
from nightdesk.schemas import ids
from nightdesk.schemas.records import BudgetEntry, Case, Decision, Timer
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE, TIMERS
from nightdesk.streams import known_charters as charters
from nightdesk.streams.control import Control
from nightdesk.streams.known_charters import CharterMissing
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.execution import KEPT_S
from tests.processors.examples import case, compiled, event
from tests.schemas.details import outcomes_of
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, Crash, Step, audited, in_force, order, said, words
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
    writes = await _bench(world).take(ACT, RESPOND)
    assert world.calls == [
        ("send", ids.step_id(RESPOND.decision_id, 0)),
        ("note", ids.step_id(RESPOND.decision_id, 1)),
    ]
    [record] = audited(writes)
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
    [reminder] = said(waits, TIMERS, Timer)
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


async def test_the_audit_says_once_that_a_step_is_tried_again_and_anew_for_the_next_step() -> None:
    world, told = World(send=[BUSY] * 2, note=[BUSY]), list[tuple[str, str]]()
    bench = _bench(world)
    for number in range(4):
        told += [(one.kind, one.status) for one in audited(await bench.take(ACT, RESPOND, number))]
    assert world.handlers == ["send"] * 3 + ["note"] * 2
    assert told == [("queued", "waiting"), ("queued", "waiting"), ("acted", "completed")]


async def test_the_other_sides_wish_to_be_left_alone_is_kept_and_bounded() -> None:
    for wish_s, expected_s in ((600.0, 600.0), (1e9, 3_600.0)):
        world = World(send=[replace(BUSY, retry_after_seconds=wish_s)])
        [reminder] = said(await _bench(world).take(ACT, RESPOND), TIMERS, Timer)
        assert (reminder.due_at - Clock().now).total_seconds() == expected_s


async def test_a_call_that_is_cancelled_says_nothing_about_the_other_side() -> None:
    """A worker that ends cancels its calls, which is no failure of the system that it called."""

    class Cancelled(World):
        async def perform(self, *call: object) -> object:  # type: ignore[override]  # it never answers
            raise asyncio.CancelledError

    bench = _bench(Cancelled())
    for number in range(BREAKER.failures_to_open + 1):
        with pytest.raises(asyncio.CancelledError):
            await bench.take(ACT, RESPOND, number)
    assert not bench.handlers._calls._circuits.is_open("desk")  # type: ignore[attr-defined]  # what the stage believes


async def test_after_the_last_retry_the_step_has_failed() -> None:
    world = World(send=[BUSY, BUSY, BUSY])
    bench = _bench(world)
    for offset in range(2):
        assert len(said(await bench.take(ACT, RESPOND, offset), TIMERS, Timer)) == 1
    writes = await bench.take(ACT, RESPOND, 2)
    assert outcomes_of(audited(writes)[0])[0].status == "failed"
    assert world.handlers == ["send"] * 3
    [handed_over] = said(writes, DECIDE, Case)
    assert handed_over.escalate_because == "respond failed; step 0 (send) failed: 503"


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
    answers: tuple[StepResult, ...], status: str
) -> None:
    bench = _bench(World(send=list(answers)))
    for offset in range(3):
        writes = await bench.take(ACT, RESPOND, offset)
    [record] = [record for record in audited(writes) if record.kind == "acted"]
    assert outcomes_of(record)[0].status == status


async def test_a_step_that_only_reads_leaves_no_doubt() -> None:
    bench = _bench(World(history=[LATE, LATE, LATE]))
    asked = decision(case(CHARTER, event(customer="c-1")), "look", "research")
    for offset in range(3):
        writes = await bench.take(ACT, asked, offset)
    [record] = [record for record in audited(writes) if record.kind == "acted"]
    assert outcomes_of(record)[0].status == "failed"


async def test_what_was_done_is_undone_when_a_later_step_fails() -> None:
    world = World(note=[BROKEN])
    [record] = audited(await _bench(world).take(ACT, RESPOND))
    assert (record.status, record.reason) == ("running", "step 1 (note) failed: 400; undone: send")
    assert world.handlers == ["send", "note", "unsend"]


@pytest.mark.parametrize(
    "value",
    [
        "{{ event.data.cents * 1000000000000 }}",
        "{{ event.data.large * 100 }}",
        "{{ event.data.text | float }}",
        "{{ range(3) }}",
        "{{ '%c' % 55296 }}",
        "{{ (0 - event.data.cents) ** 0.5 }}",
        "{{ namespace(a=1) }}",
        "{{ 'abc' | truncate(1) }}",
    ],
)
async def test_a_step_whose_values_cannot_be_sent_fails_before_its_call_and_the_others_are_undone(value: str) -> None:
    charter = compiled(('{reply: "{{ steps.reply.id }}"}', f'{{deep: ["{value}"]}}'))
    asked = decision(case(charter, event("nan", cents=10**9, large=1e307)), text="tomorrow")
    world = World()
    [record] = audited(await _bench(world, in_force(charter)).take(ACT, asked))
    assert (record.kind, record.status, world.handlers) == ("acted", "running", ["send", "unsend"])
    [sent, failed, undone] = outcomes_of(record)
    assert (sent.status, failed.status, undone.status) == ("done", "failed", "undone")
    assert failed.error


async def test_who_does_not_own_the_partition_any_more_makes_no_call_and_what_it_began_is_known() -> None:
    world = World(once=("pay",))
    former = _bench(world)
    former.step.owner = False
    with pytest.raises(Crash):
        await former.take(ACT, REFUND)
    assert world.calls == [], "the intent is durable, and nothing was sent"
    assert former.step.steps == 1
    [record] = audited(await _bench(world).inherit(former).take(ACT, REFUND))
    assert '"status":"unknown"' in record.detail
    assert "pay" not in world.handlers


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
    control.apply(order("stop_all", "*", "*", reason="night"))
    for offset in range(5):
        writes = await bench.take(ACT, RESPOND, offset)
        [record] = audited(writes)
        assert (record.status, "night" in record.reason, said(writes, TIMERS, Timer)) == ("waiting", True, [])
    assert world.calls == []
    control.apply(order("resume", "*", "*"))
    [record] = audited(await bench.take(ACT, RESPOND, 5))
    assert record.status == "completed"
    assert '"attempts":1' in record.detail, "an order to stop costs no attempt"


async def test_an_order_to_stop_between_two_steps_loses_nothing_of_the_first() -> None:
    control = in_force(PAY_THEN_NOTE)

    class Stopped(World):
        async def perform(self, *call: object) -> object:  # type: ignore[override]  # the order comes during the call
            done = await super().perform(*call)  # type: ignore[arg-type]
            if len(self.calls) == 1:
                control.apply(order("pause", "desk", "desk", reason="wait"))
            return done

    world = Stopped()
    bench = _bench(world, control)
    paid = decision(case(PAY_THEN_NOTE), "refund", amount=50.0)
    assert [record.status for record in audited(await bench.take(ACT, paid))] == ["waiting"]
    control.apply(order("resume", "desk", "desk"))
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
    writes = await _bench(World()).take(ACT, asked)
    [asks] = said(writes, BUDGET, BudgetEntry)
    assert (asks.kind, asks.step, asks.case_id) == ("reserve", 1, CASE.case_id)
    assert asks.case is not None
    assert (asks.case.step, asks.case.reserved_microusd) == (1, 0)
    assert asks.case.history[0].outcomes[0].status == "done"
    assert said(writes, DECIDE, Case) == []


async def test_a_case_that_a_person_is_to_have_needs_no_money() -> None:
    bounds = compiled(("limits: {per_subject: 5/1h}", "limits: {per_subject: 5/1h}\nbounds: {actions: 1}"))
    asked = decision(case(bounds, event(customer="c-1")), "look", "research")
    writes = await _bench(World(), in_force(bounds)).take(ACT, asked)
    [following] = said(writes, DECIDE, Case)
    assert "bounds.actions" in following.escalate_because
    assert said(writes, BUDGET, BudgetEntry) == []


async def test_a_wait_comes_back_when_it_is_over() -> None:
    writes = await _bench(World()).take(ACT, decision(CASE, "wait", "wait", after="2h"))
    [reminder] = said(writes, TIMERS, Timer)
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
