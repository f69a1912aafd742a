"""A step that cannot start waits in the order in which its case came, and starts when its gate opens."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.ledger.entries import reservation, returned
from nightdesk.processors.ledger.reserving import held_for_s, worst_price_microusd
from nightdesk.processors.notifications import Notice, classify
from nightdesk.schemas import ids
from nightdesk.schemas.audit import WaitDetail
from nightdesk.schemas.records import BudgetEntry, Case, Spent, Timer
from nightdesk.schemas.topics import BUDGET, DECIDE, TIMERS
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.stages.budget import Budget
from tests.processors.examples import NOW, case, compiled, event
from tests.schemas.details import detail_as
from tests.streams.stages.stage_harness import TRACE, Bench, Clock, audited, in_force, order, said, words

PLAIN = compiled()
PRICE = worst_price_microusd(PLAIN, case(PLAIN), NOW)
RATE = ("per_subject: 5/1h", "per_subject: 5/1h, agent: 1/1m")


def _money(cases: float, more: str = "") -> tuple[str, str]:
    """A day that has room for so many cases."""
    caps = f"per_day_usd: {PRICE * cases / 1e6:.6f}, per_case_usd: {PRICE / 1e6:.6f}{more}"
    return "per_day_usd: 25, per_case_usd: 0.50", caps


def _case(charter: CompiledCharter, number: int, **changes: str) -> Case:
    of = event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}", **changes})
    return case(charter, of, reserved_microusd=0)


def _asks(charter: CompiledCharter, number: int, **changes: str) -> BudgetEntry:
    return reservation(_case(charter, number, **changes), NOW)


def _settles(entry: BudgetEntry, microusd: int = 0) -> BudgetEntry:
    update = {"kind": "settle", "amount_microusd": microusd, "case": None, "day": "2026-11-20"}
    return entry.model_copy(update={**update, "entry_id": ids.entry_id(entry.case_id, "settle", entry.step)})


def _started(*all_writes: StagedWrites) -> list[str]:
    """The events whose cases went on to be decided."""
    return [decided.event.id for writes in all_writes for decided in said(writes, DECIDE, Case)]


def _bench(*charters: CompiledCharter, clock: Clock | None = None) -> Bench:
    return Bench(Budget(in_force(*charters), clock or Clock()))


async def _ask(bench: Bench, charter: CompiledCharter, numbers: Iterable[int]) -> list[str]:
    return _started(*[await bench.take(BUDGET, _asks(charter, number), number) for number in numbers])


def _waiting(gate: str) -> float | None:
    labels = {"stage": "budget", "agent": "desk", "cause": gate}
    return REGISTRY.get_sample_value("nightdesk_waiting_cases", labels)


async def test_money_that_is_held_is_waited_for_in_order_and_nobody_sets_a_timer() -> None:
    charter = compiled(_money(2.5))
    bench = _bench(charter)
    assert await _ask(bench, charter, range(5)) == ["e-0", "e-1"]
    assert [message for message in bench.output if message.topic.endswith(TIMERS.name)] == []
    assert _waiting("held") == 3
    assert _started(bench.tick()) == [], "nothing has opened the gate"
    await bench.take(BUDGET, _settles(_asks(charter, 1)))
    assert _started(bench.tick()) == ["e-2"]
    await bench.take(BUDGET, _settles(_asks(charter, 0)))
    await bench.take(BUDGET, _settles(_asks(charter, 2)))
    assert _started(bench.tick()) == ["e-3", "e-4"]
    assert _waiting("held") == 0
    assert len(bench.tables["waiting"]) == 0


async def test_steps_that_another_worker_has_now_are_not_counted_here() -> None:
    charter = compiled(_money(2.5))
    bench = _bench(charter)
    await _ask(bench, charter, range(5))
    assert _waiting("held") == 3
    bench.recover(bench.changelog)
    bench.tick()
    assert _waiting("held") == 3
    bench.recover(_bench(charter).changelog)
    bench.tick()
    assert _waiting("held") is None


async def test_who_comes_while_others_wait_comes_after_them_though_there_is_room() -> None:
    charter = compiled(_money(1.5))
    bench = _bench(charter)
    await _ask(bench, charter, range(2))
    await bench.take(BUDGET, _settles(_asks(charter, 0)))
    assert await _ask(bench, charter, [2]) == [], "the money is free, and e-1 was first"
    assert _started(bench.tick()) == ["e-1"]


async def test_a_case_that_waits_has_one_audit_record_when_it_begins_and_one_when_it_goes_on() -> None:
    clock = Clock()
    charter = compiled(_money(1.5))
    bench = _bench(charter, clock=clock)
    await _ask(bench, charter, [0])
    first, again = [await bench.take(BUDGET, _asks(charter, 1), 1) for _ in range(2)]
    assert words(first) == words(again), "a record that comes again gets the same answer"
    [deferred] = audited(first)
    assert (deferred.kind, deferred.status, deferred.traceparent) == ("deferred", "deferred", TRACE)
    assert detail_as(WaitDetail, deferred) == WaitDetail(until=NOW + timedelta(hours=26), cause="held")
    for _ in range(100):
        clock.forward(5)
        assert bench.tick().messages == []
    await bench.take(BUDGET, _settles(_asks(charter, 0)))
    writes = bench.tick()
    [resumed] = audited(writes)
    assert (resumed.kind, resumed.status, resumed.traceparent) == ("deferred", "running", TRACE)
    assert "2026-11-20 12:00:00 UTC" in resumed.reason


async def test_only_spent_money_waits_for_the_next_day() -> None:
    clock = Clock()
    charter = compiled(_money(1.5))
    bench = _bench(charter, clock=clock)
    await _ask(bench, charter, [0])
    await bench.take(BUDGET, _settles(_asks(charter, 0), PRICE))
    [deferred] = audited(await bench.take(BUDGET, _asks(charter, 1), 1))
    assert detail_as(WaitDetail, deferred).cause == "spent"
    assert "is left" in deferred.reason
    clock.now = NOW.replace(hour=23, minute=59, second=59)
    assert _started(bench.tick()) == []
    clock.forward(1)
    assert _started(bench.tick()) == ["e-1"]


async def test_that_the_money_which_was_waited_for_is_spent_is_told_once() -> None:
    """When it came the money was reserved only. Without this nobody hears of the spent budget before the next case."""
    charter = compiled(_money(1.5))
    bench = _bench(charter)
    await _ask(bench, charter, [0, 1, 2])
    assert audited(bench.tick()) == []
    await bench.take(BUDGET, _settles(_asks(charter, 0), PRICE))
    [told] = audited(bench.tick())
    assert (told.event_id, told.status, detail_as(WaitDetail, told).cause) == ("e-1", "deferred", "spent")
    [notice] = classify(told)
    assert isinstance(notice, Notice)
    assert notice.event_class == "budget"
    await bench.take(BUDGET, _settles(_asks(charter, 0), PRICE))
    assert audited(bench.tick()) == []


async def test_the_agents_rate_lets_one_case_go_after_another() -> None:
    clock = Clock()
    charter = compiled(RATE)
    bench = _bench(charter, clock=clock)
    assert await _ask(bench, charter, range(4)) == ["e-0"]
    for number in (1, 2, 3):
        clock.forward(59.9)
        assert _started(bench.tick()) == []
        clock.forward(0.1)
        assert _started(bench.tick()) == [f"e-{number}"]


async def test_a_later_step_is_no_new_case_and_goes_before_newcomers() -> None:
    clock = Clock()
    charter = compiled(RATE, _money(2.2))
    bench = _bench(charter, clock=clock)
    await _ask(bench, charter, range(3))
    following = _case(charter, 0).model_copy(update={"step": 1, "spent": Spent(model_calls=1)})
    await bench.take(BUDGET, _settles(_asks(charter, 0), PRICE))
    assert _started(await bench.take(BUDGET, reservation(following, NOW), 9)) == ["e-0"], "it needs no new slot"


async def test_a_later_step_that_has_to_wait_keeps_the_place_of_its_case() -> None:
    charter = compiled(_money(2.2))
    bench = _bench(charter)
    await _ask(bench, charter, range(4))  # 0 and 1 are open, 2 and 3 wait
    await bench.take(BUDGET, _settles(_asks(charter, 0), PRICE // 10))
    following = _case(charter, 0).model_copy(update={"step": 1, "spent": Spent(model_calls=1)})
    assert _started(await bench.take(BUDGET, reservation(following, NOW), 9)) == []
    assert _started(bench.tick()) == ["e-0"]


async def test_an_event_types_money_keeps_nobody_else() -> None:
    cap = f", events: {{ticket.created: {{per_day_usd: {PRICE * 1.2 / 1e6:.6f}}}}}"
    charter = compiled(_money(9, cap), ("  - type: ticket.created", "  - type: followup\n  - type: ticket.created"))
    bench = _bench(charter)
    assert await _ask(bench, charter, range(3)) == ["e-0"]
    other = _asks(charter, 3, type="followup")
    assert _started(await bench.take(BUDGET, other, 3)) == ["e-3"], "it waits for nothing that those wait for"


async def test_cases_of_one_subject_keep_their_order_though_the_later_one_has_money() -> None:
    cap = f", events: {{ticket.created: {{per_day_usd: {PRICE * 1.2 / 1e6:.6f}}}}}"
    charter = compiled(_money(9, cap), ("  - type: ticket.created", "  - type: followup\n  - type: ticket.created"))
    bench = _bench(charter)
    await _ask(bench, charter, range(2))
    assert _started(await bench.take(BUDGET, _asks(charter, 3, type="followup", subject="t-1"), 3)) == []
    await bench.take(BUDGET, _settles(_asks(charter, 0)))
    assert _started(bench.tick()) == ["e-1", "e-3"]


async def test_what_has_waited_for_too_long_goes_to_a_person() -> None:
    clock = Clock()
    charter = compiled(_money(1.5), ("mode: live", "queue: {wait_at_most: 2h}\nmode: live"))
    bench = _bench(charter, clock=clock)
    await _ask(bench, charter, [0])
    await bench.take(BUDGET, _settles(_asks(charter, 0), PRICE))
    await _ask(bench, charter, [1])
    clock.forward(2 * 3600 - 1)
    assert _started(bench.tick()) == []
    clock.forward(1)
    [escalated] = said(bench.tick(), DECIDE, Case)
    assert escalated.reserved_microusd == 0
    assert "has waited since 2026-11-20 12:00:00 UTC" in escalated.escalate_because
    assert "is left" in escalated.escalate_because
    assert escalated.cause == "waited"
    assert len(bench.tables["waiting"]) == 0


async def test_a_reservation_that_expires_lets_the_next_one_know() -> None:
    clock = Clock()
    charter = compiled(_money(2.2))
    bench = _bench(charter, clock=clock)
    await _ask(bench, charter, range(3))
    clock.forward(held_for_s(charter.charter) + 1)
    await bench.take(BUDGET, _settles(_asks(charter, 0)))
    for expired in said(bench.tick(), BUDGET, BudgetEntry):
        await bench.take(BUDGET, expired)
    bench.tick()
    assert len(bench.tables["waiting"]) == 0


async def test_where_the_charter_does_not_wait_a_newcomer_does_not_either() -> None:
    """An older version of the charter still waits for the next day."""
    older = compiled(_money(1.5))
    newer = compiled(_money(1.5, ", when_spent: escalate"))
    bench = _bench(older, newer)
    await _ask(bench, older, [0])
    await bench.take(BUDGET, _settles(_asks(older, 0), PRICE))
    assert await _ask(bench, older, [1]) == []
    [escalated] = said(await bench.take(BUDGET, _asks(newer, 2), 2), DECIDE, Case)
    assert "is left" in escalated.escalate_because
    assert escalated.cause == "spent"


@pytest.mark.parametrize("dies", [False, True])
async def test_the_next_process_goes_on_with_the_queue(dies: bool) -> None:
    """Also with what one that died had let go on, and not emitted."""
    clock = Clock()
    charter = compiled(_money(1.5))
    dead = _bench(charter, clock=clock)
    await _ask(dead, charter, range(4))
    await dead.take(BUDGET, _settles(_asks(charter, 0)))
    first = dead.tick(dies=True) if dies else None
    bench = _bench(charter, clock=clock).inherit(dead)
    again = bench.tick()
    assert _started(again) == ["e-1"]
    assert first is None or words(first) == words(again), "what was decided before its end stays decided"
    assert bench.tick().messages == []
    for number in (1, 2):
        await bench.take(BUDGET, _settles(_asks(charter, number)))
        assert _started(bench.tick()) == [f"e-{number + 1}"]
    assert len(bench.tables["waiting"]) == 0


async def test_a_charter_that_is_not_read_yet_keeps_only_its_own_cases() -> None:
    clock = Clock()
    older, newer = compiled(_money(1.5)), compiled(_money(1.6))
    dead = _bench(older, newer, clock=clock)
    await _ask(dead, older, [0, 1])
    await _ask(dead, newer, [2])
    bench = _bench(newer, clock=clock).inherit(dead)
    await bench.take(BUDGET, _settles(_asks(older, 0)))
    assert _started(bench.tick()) == ["e-2"]


async def test_a_clock_that_was_ahead_shuts_no_gate_for_longer() -> None:
    clock = Clock()
    charter = compiled(RATE)
    bench = _bench(charter, clock=clock)
    clock.forward(9 * 3600)
    await _ask(bench, charter, [0, 1])
    bench.tick()
    clock.now = NOW
    bench.tick()
    clock.forward(60)
    assert _started(bench.tick()) == ["e-1"]


async def test_a_tick_lets_go_on_what_it_can_and_the_next_one_the_rest() -> None:
    clock = Clock()
    charter = compiled(("per_subject: 5/1h", "per_subject: 5/1h, agent: 250/1m"), ("25, per_case", "250000, per_case"))
    bench = _bench(charter, clock=clock)
    await _ask(bench, charter, range(500))
    clock.forward(61)
    found = [_started(bench.tick()) for _ in range(3)]
    assert [len(some) for some in found] == [200, 50, 0]
    assert [event_id for some in found for event_id in some] == [f"e-{number}" for number in range(250, 500)]


async def test_a_refusal_from_the_queue_is_recorded_as_one() -> None:
    older = compiled(_money(1.5, ", when_spent: refuse"))
    bench = _bench(older)
    await _ask(bench, older, range(2))  # e-1 waits for what e-0 holds
    await bench.take(BUDGET, _settles(_asks(older, 0), PRICE))
    writes = bench.tick()
    assert [record.kind for record in audited(writes)] == ["refused"]
    assert said(writes, TIMERS, Timer) == []


# -- decide gives steps back


async def _give_back(bench: Bench, given: Case, clock: Clock, retry_after_s: int = 0) -> StagedWrites:
    entry = returned(given, "unavailable", "no model answers", 0, clock(), retry_after_s)
    return await bench.take(BUDGET, entry, 50)


def _answered(given: Case) -> BudgetEntry:
    return _settles(reservation(given, NOW)).model_copy(update={"tokens": 9, "amount_microusd": 10})


async def _go_on(bench: Bench, charter: CompiledCharter, count: int) -> list[Case]:
    return [
        found
        for number in range(count)
        for found in said(await bench.take(BUDGET, _asks(charter, number), number), DECIDE, Case)
    ]


async def test_while_no_model_answers_one_step_asks_for_all_and_then_all_go_on_in_order() -> None:
    clock = Clock()
    bench = _bench(PLAIN, clock=clock)
    given = await _go_on(bench, PLAIN, 3)
    for one in reversed(given):
        assert [record.kind for record in audited(await _give_back(bench, one, clock))] == ["deferred"]
    assert _totals_of(bench) == (0, 0), "nothing is reserved for a step that waits"
    assert await _ask(bench, PLAIN, range(3, 40)) == [], "nobody asks a model that does not answer"
    records = []
    for _ in range(4):
        assert said(bench.tick(), DECIDE, Case) == []
        clock.forward(300)
        writes = bench.tick()
        [probe] = said(writes, DECIDE, Case)
        assert probe.event.id == "e-0"
        assert _started(bench.tick()) == []
        records += audited(writes) + audited(await _give_back(bench, probe, clock))
    assert records == [], "a step that finds out for all waits as before"
    clock.forward(300)
    [probe] = said(bench.tick(), DECIDE, Case)
    await bench.take(BUDGET, _answered(probe), 51)
    first = _started(bench.tick())
    assert 0 < len(first) < 5, "not all of a night at once"
    later = []
    for _ in range(40):
        clock.forward(1)
        later += _started(bench.tick())
    assert first + later == [f"e-{number}" for number in range(1, 40)]


def _totals_of(bench: Bench) -> tuple[int, int]:
    balance = bench.handlers._accounts.of("desk").balance("2026-11-20")  # type: ignore[attr-defined]  # what it derived
    return balance.reserved_microusd, balance.consumed_microusd


async def test_a_probe_waits_for_as_long_as_the_provider_says() -> None:
    clock = Clock()
    bench = _bench(PLAIN, clock=clock)
    [given] = await _go_on(bench, PLAIN, 1)
    await _give_back(bench, given, clock, retry_after_s=120)
    clock.forward(119)
    assert _started(bench.tick()) == []
    clock.forward(1)
    assert _started(bench.tick()) == ["e-0"]


async def test_what_was_given_back_goes_to_a_person_when_it_has_waited_for_too_long() -> None:
    clock = Clock()
    charter = compiled(("mode: live", "queue: {wait_at_most: 2h}\nmode: live"))
    bench = _bench(charter, clock=clock)
    given = await _go_on(bench, charter, 2)
    for one in given:
        await _give_back(bench, one, clock)
    clock.forward(3600)
    [probe] = said(bench.tick(), DECIDE, Case)
    await _give_back(bench, probe, clock)
    clock.forward(3600)
    found = said(bench.tick(), DECIDE, Case)
    assert [one.event.id for one in found] == ["e-0", "e-1"], "the time of a step that asked for all went on"
    assert all("no model answers" in one.escalate_because for one in found)


async def test_a_return_that_is_read_again_changes_nothing() -> None:
    clock = Clock()
    bench = _bench(PLAIN, clock=clock)
    [given] = await _go_on(bench, PLAIN, 1)
    first, again = [await _give_back(bench, given, clock) for _ in range(2)]
    assert words(first) == words(again) != []
    clock.forward(5)
    [probe] = said(bench.tick(), DECIDE, Case)
    assert probe.returns == 1
    assert (await _give_back(bench, given, clock)).messages == [], "it asks already"
    assert words(await bench.take(BUDGET, _asks(PLAIN, 0), 0)) == [], "and so does what asked first"
    await bench.take(BUDGET, _answered(probe), 51)
    assert len(bench.tables["waiting"]) == 0


async def test_a_step_that_was_given_back_and_decided_all_the_same_waits_no_longer() -> None:
    clock = Clock()
    bench = _bench(PLAIN, clock=clock)
    [given] = await _go_on(bench, PLAIN, 1)
    await _give_back(bench, given, clock)
    await bench.take(BUDGET, _answered(given), 51)
    clock.forward(60)
    assert _started(bench.tick()) == []
    assert len(bench.tables["waiting"]) == 0


async def test_a_probe_that_found_out_nothing_is_followed_by_the_next() -> None:
    """Rules decided, or a gate did: no model was asked."""
    clock = Clock()
    bench = _bench(PLAIN, clock=clock)
    for one in await _go_on(bench, PLAIN, 2):
        await _give_back(bench, one, clock)
    clock.forward(5)
    [probe] = said(bench.tick(), DECIDE, Case)
    await bench.take(BUDGET, _settles(reservation(probe, NOW)), 51)
    assert _started(bench.tick()) == ["e-1"]


async def test_the_next_process_tries_again_with_one_step_for_all() -> None:
    clock = Clock()
    dead = _bench(PLAIN, clock=clock)
    for one in await _go_on(dead, PLAIN, 3):
        await _give_back(dead, one, clock)
    bench = _bench(PLAIN, clock=clock).inherit(dead)
    assert _started(bench.tick()) == ["e-0"]
    assert _started(bench.tick()) == []


async def test_what_costs_nothing_does_not_wait_for_a_model() -> None:
    clock = Clock()
    rules = compiled(("agent: desk", "agent: desk"), ("provider: [anthropic, rules]\n", "provider: rules\n"))
    bench = _bench(PLAIN, rules, clock=clock)
    [given] = await _go_on(bench, PLAIN, 1)
    await _give_back(bench, given, clock)
    assert await _ask(bench, rules, [7]) == ["e-7"]


# -- orders stop the agent


def _stop(bench: Bench, clock: Clock, kind: str = "pause", agent: str = "desk") -> None:
    control: Control = bench.handlers._control  # type: ignore[attr-defined]  # orders come from the control topic
    control.apply(order(kind, agent, agent, reason="night", time=clock.now))


async def test_a_paused_agent_asks_no_model_and_goes_on_in_order_when_the_order_is_over() -> None:
    clock = Clock()
    bench = _bench(PLAIN, clock=clock)
    _stop(bench, clock)
    [deferred] = audited(await bench.take(BUDGET, _asks(PLAIN, 0), 0))
    assert detail_as(WaitDetail, deferred).cause == "paused"
    assert "pause by" in deferred.reason
    assert await _ask(bench, PLAIN, range(1, 50)) == []
    assert _waiting("paused") == 50
    for _ in range(8 * 6):
        clock.forward(600)
        assert bench.tick().messages == [], "it waits for the order and not for a clock"
    _stop(bench, clock, "resume")
    went_on = _started(bench.tick())
    assert 0 < len(went_on) < 5, "not all at once"
    for _ in range(60):
        clock.forward(1)
        went_on += _started(bench.tick())
    assert went_on == [f"e-{number}" for number in range(50)]


async def test_what_waits_does_not_grow_old_by_a_pause() -> None:
    """Also when the process ends in between."""
    clock = Clock()
    charter = compiled(_money(1.5), ("mode: live", "queue: {wait_at_most: 2h}\nmode: live"))
    dead = _bench(charter, clock=clock)
    await _ask(dead, charter, [0])
    await dead.take(BUDGET, _settles(_asks(charter, 0), PRICE))
    await _ask(dead, charter, [1])
    clock.forward(3600)
    _stop(dead, clock)
    dead.tick()
    clock.forward(5 * 3600)
    bench = _bench(charter, clock=clock).inherit(dead)
    _stop(bench, clock)
    bench.tick()
    _stop(bench, clock, "resume")
    assert _started(bench.tick()) == []
    clock.forward(3599)
    assert _started(bench.tick()) == []
    clock.forward(2)
    [escalated] = said(bench.tick(), DECIDE, Case)
    assert "too long" in escalated.escalate_because
    bench.tick()
    assert len(bench.tables["agent_clocks"]) == 0, "nobody waits any more"


async def test_the_bound_on_the_wait_for_a_model_counts_what_ran_before_a_pause_and_not_the_pause() -> None:
    """Also when the process ends between the step's fact and its records."""
    clock = Clock()
    dead = _bench(PLAIN, clock=clock)
    [asked] = said(await dead.take(BUDGET, _asks(PLAIN, 0)), DECIDE, Case)
    await dead.take(BUDGET, returned(asked, "unavailable", "away", 0, clock()), 1)
    clock.forward(3600)
    [probe] = said(dead.tick(), DECIDE, Case)
    assert probe.waits_since == NOW
    _stop(dead, clock)
    await dead.take(BUDGET, returned(probe, "paused", "paused by ops", 0, clock()), 2)
    clock.forward(8 * 3600)
    _stop(dead, clock, "resume")
    dead.tick(dies=True)
    bench = _bench(PLAIN, clock=clock).inherit(dead)
    clock.forward(1800)
    [goes_on] = said(bench.tick(), DECIDE, Case)
    assert goes_on.waits_since == NOW + timedelta(hours=8), "an hour of its bound is used"


async def test_a_step_whose_return_was_half_written_waits_when_its_record_comes_again() -> None:
    """State is made durable entry by entry, and a process can end after any."""
    clock = Clock()
    dead = _bench(PLAIN, clock=clock)
    [asked] = said(await dead.take(BUDGET, _asks(PLAIN, 0)), DECIDE, Case)
    back = returned(asked, "unavailable", "away", 0, clock())
    await dead.take(BUDGET, back, 1)
    assert "waiting" in dead.changelog.pop().topic
    bench = _bench(PLAIN, clock=clock).inherit(dead)
    first, again = [await bench.take(BUDGET, back, 1) for _ in range(2)]
    assert words(first) == words(again)
    assert [record.status for record in audited(first)] == ["deferred"]
    clock.forward(3600)
    [goes_on] = said(bench.tick(), DECIDE, Case)
    assert goes_on.returns == 1


async def test_a_newcomer_waits_behind_a_step_whose_records_may_be_missing() -> None:
    clock = Clock()
    dead = _bench(PLAIN, clock=clock)
    _stop(dead, clock)
    await _ask(dead, PLAIN, [0])
    _stop(dead, clock, "resume")
    dead.tick(dies=True)
    bench = _bench(PLAIN, clock=clock).inherit(dead)
    assert await _ask(bench, PLAIN, [1]) == []
    soon = bench.tick()
    clock.forward(60)
    assert _started(soon, bench.tick()) == ["e-0", "e-1"]


async def test_a_new_process_probes_models_that_are_away_no_more_often_than_the_old_one() -> None:
    clock = Clock()
    bench = _bench(PLAIN, clock=clock)
    [asked] = said(await bench.take(BUDGET, _asks(PLAIN, 0)), DECIDE, Case)
    probes = 0
    for offset in range(1, 200):
        await bench.take(BUDGET, returned(asked, "unavailable", "away", 0, clock()), offset)
        bench = _bench(PLAIN, clock=clock).inherit(bench) if offset == 1 else bench
        while not (asking := said(bench.tick(), DECIDE, Case)):
            clock.forward(1)
        [asked], probes = asking, probes + 1
        if clock() >= NOW + timedelta(hours=1):
            break
    assert probes < 20, "an hour with at most five minutes between two"


async def test_what_a_step_waited_before_it_was_the_probe_is_part_of_its_wait_for_a_model() -> None:
    clock = Clock()
    bench = _bench(PLAIN, clock=clock)
    [asked] = said(await bench.take(BUDGET, _asks(PLAIN, 0)), DECIDE, Case)
    await bench.take(BUDGET, returned(asked, "unavailable", "away", 500, clock()), 1)
    clock.forward(1)
    came_at = clock()
    await bench.take(BUDGET, _asks(PLAIN, 1), 2)
    while not (asking := said(bench.tick(), DECIDE, Case)):
        clock.forward(1)
    [probe] = asking
    assert (probe.event.id, probe.waits_since) == ("e-1", came_at)
    assert clock() > came_at


async def test_the_next_process_lets_go_on_slowly_what_waited_for_an_order() -> None:
    clock = Clock()
    dead = _bench(PLAIN, clock=clock)
    _stop(dead, clock)
    await _ask(dead, PLAIN, range(20))
    bench = _bench(PLAIN, clock=clock).inherit(dead)
    assert 0 < len(_started(bench.tick())) < 5


@pytest.mark.parametrize("when_stale", ["escalate", "refuse"])
async def test_a_case_that_is_too_old_when_the_order_is_over_does_not_begin(when_stale: str) -> None:
    clock = Clock()
    charter = compiled(("mode: live", f"queue: {{stale_after: 10h, when_stale: {when_stale}}}\nmode: live"))
    bench = _bench(charter, clock=clock)
    _stop(bench, clock)
    await _ask(bench, charter, [0])
    clock.forward(11 * 3600)
    young = _asks(charter, 1)
    assert young.case is not None
    young = young.model_copy(update={"case": young.case.model_copy(update={"received_at": clock.now})})
    await bench.take(BUDGET, young, 1)
    _stop(bench, clock, "resume")
    writes = bench.tick()
    clock.forward(1)
    later = bench.tick()
    found = {one.event.id: one.escalate_because for one in [*said(writes, DECIDE, Case), *said(later, DECIDE, Case)]}
    refused = [record for record in audited(writes) if record.kind == "refused"]
    if when_stale == "escalate":
        assert "stale_after" in found["e-0"]
    else:
        assert ["stale_after" in record.reason for record in refused] == [True]
    assert found["e-1"] == ""


@pytest.mark.parametrize("unread_h", [9, 11])
async def test_a_case_whose_event_lay_unread_for_too_long_does_not_begin(unread_h: int) -> None:
    clock, charter = Clock(), compiled(("mode: live", "queue: {stale_after: 10h}\nmode: live"))
    asks = _asks(charter, 0)
    assert asks.case is not None
    case = asks.case.model_copy(update={"stored_at": clock.now - timedelta(hours=unread_h)})
    [begun] = said(
        await _bench(charter, clock=clock).take(BUDGET, asks.model_copy(update={"case": case}), 0), DECIDE, Case
    )
    assert begun.cause == ("stale" if unread_h > 10 else "")
    assert ("was read after 11.0 hours" in begun.escalate_because) == (unread_h > 10)


async def test_an_order_to_stop_all_keeps_what_costs_nothing_too_and_a_pause_does_not() -> None:
    clock = Clock()
    rules = compiled(("provider: [anthropic, rules]\n", "provider: rules\n"))
    bench = _bench(rules, clock=clock)
    _stop(bench, clock)
    assert await _ask(bench, rules, [0]) == ["e-0"]
    _stop(bench, clock, "stop_all")
    assert await _ask(bench, rules, [1]) == []
    _stop(bench, clock, "resume")
    assert _started(bench.tick()) == ["e-1"]


async def test_what_decide_gave_back_because_of_an_order_waits_for_its_end() -> None:
    clock = Clock()
    bench = _bench(PLAIN, clock=clock)
    [given] = await _go_on(bench, PLAIN, 1)
    _stop(bench, clock)
    writes = await bench.take(BUDGET, returned(given, "paused", "pause by ops", 0, clock()), 50)
    assert detail_as(WaitDetail, audited(writes)[0]).cause == "paused"
    clock.forward(3600)
    assert _started(bench.tick()) == []
    _stop(bench, clock, "resume")
    assert _started(bench.tick()) == ["e-0"]


# -- when the money is spent


async def test_when_the_money_is_spent_the_rules_decide_where_the_charter_says_so() -> None:
    charter = compiled(_money(1.5, ", when_spent: rules"))
    bench = _bench(charter)
    await _ask(bench, charter, [0])
    assert await _ask(bench, charter, [1]) == [], "what is only reserved is waited for"
    await bench.take(BUDGET, _settles(_asks(charter, 0), PRICE))
    [decided] = said(bench.tick(), DECIDE, Case)
    assert (decided.reserved_microusd, decided.escalate_because) == (0, "")
    assert "is left" in decided.rules_because
    assert decided.cause == "spent"
    [later] = said(await bench.take(BUDGET, _asks(charter, 2), 2), DECIDE, Case)
    assert later.rules_because


async def test_an_urgent_case_may_use_the_reserve_and_goes_first() -> None:
    urgent = f", reserve_usd: {PRICE * 1.2 / 1e6:.6f}, urgent: 'event.data.text.contains(\"fire\")'"
    charter = compiled(_money(2.5, urgent))
    bench = _bench(charter)
    await _ask(bench, charter, [0])
    await bench.take(BUDGET, _settles(_asks(charter, 0), PRICE))
    assert await _ask(bench, charter, [1]) == [], "the rest is for urgent cases"
    fire = event("fire!").model_copy(update={"id": "e-9", "subject": "t-9"})
    writes = await bench.take(BUDGET, reservation(case(charter, fire, reserved_microusd=0), NOW), 9)
    assert _started(writes) == ["e-9"]
    assert sum(_totals_of(bench)) <= PRICE * 2.5


async def test_a_case_of_higher_priority_goes_first() -> None:
    charter = compiled(
        _money(1.5), ("mode: live", "queue: {priority: 'event.data.text == \"vip\" ? 5 : 0'}\nmode: live")
    )
    bench = _bench(charter)
    await _ask(bench, charter, range(3))
    vip = event("vip").model_copy(update={"id": "e-9", "subject": "t-9"})
    await bench.take(BUDGET, reservation(case(charter, vip, reserved_microusd=0), NOW), 9)
    await bench.take(BUDGET, _settles(_asks(charter, 0)))
    assert _started(bench.tick()) == ["e-9"]


async def test_an_expression_about_the_place_of_a_case_that_fails_is_said_where_it_waits() -> None:
    keys = "queue: {priority: 'event.data.size > 5 ? 5 : 0'}\nmode: live"
    charter = compiled(_money(1.5, ", urgent: event.data.late"), ("mode: live", keys))
    bench = _bench(charter)
    await _ask(bench, charter, [0])
    [deferred] = audited(await bench.take(BUDGET, _asks(charter, 1), 1))
    assert "queue.priority failed: " in deferred.reason
    assert "budget.urgent failed: " in deferred.reason
    assert "size" in deferred.reason


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        ("2026-03-28T23:30:00", "2026-03-29T22:00:00"),  # the night of 23 hours
        ("2026-10-24T22:30:00", "2026-10-25T23:00:00"),  # the night of 25 hours
        ("2026-11-20T12:00:00", "2026-11-20T23:00:00"),
    ],
)
async def test_the_budgets_days_are_those_of_its_time_zone(now: str, begins: str) -> None:
    clock = Clock(datetime.fromisoformat(now).replace(tzinfo=UTC))
    charter = compiled(_money(1.5, ", time_zone: Europe/Berlin"))
    bench = _bench(charter, clock=clock)
    await _ask(bench, charter, [0])
    await bench.take(BUDGET, _settles(_asks(charter, 0), PRICE))
    await _ask(bench, charter, [1])
    clock.now = datetime.fromisoformat(begins).replace(tzinfo=UTC) - timedelta(seconds=1)
    assert _started(bench.tick()) == []
    clock.forward(1)
    assert _started(bench.tick()) == ["e-1"]
