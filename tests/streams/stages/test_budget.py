"""Money is held before a case begins, counted once, and the totals are what the facts come to."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.charter import CompiledCharter
from processors.ledger import Fact
from schemas import ids
from schemas.records import BudgetEntry, Case, Reminder
from schemas.topics import BUDGET, DECIDE, LATER
from streams.stages.budget import Budget, _worst_price_microusd
from tests.processors.examples import NOW, case, compiled, event
from tests.streams.stages.bench import CODEC, Bench, Clock, audited, in_force, said, words

CHARTER = compiled()
PRICE = _worst_price_microusd(CHARTER, case(CHARTER), NOW)
# Room for one case, and not for two.
ONE_A_DAY = f"per_day_usd: {PRICE * 1.5 / 1e6:.6f}, per_case_usd: {PRICE / 1e6:.6f}"


def _one_a_day(when_spent: str = "defer") -> CompiledCharter:
    return compiled(("per_day_usd: 25, per_case_usd: 0.50", f"{ONE_A_DAY}, when_spent: {when_spent}"))


def _bench(charter: CompiledCharter = CHARTER, clock: Clock | None = None) -> Bench:
    return Bench(Budget(in_force(charter), clock or Clock()))


def _reserve(charter: CompiledCharter = CHARTER, number: int = 1) -> BudgetEntry:
    opened = case(charter, event().model_copy(update={"id": f"e-{number}"}), reserved_microusd=0)
    return BudgetEntry(
        entry_id=ids.entry_id(opened.case_id, "reserve"),
        kind="reserve",
        agent=charter.agent,
        case_id=opened.case_id,
        amount_microusd=0,
        time=NOW,
        case=opened,
    )


def _settle(entry: BudgetEntry, spent_microusd: int) -> BudgetEntry:
    update = {"kind": "settle", "amount_microusd": spent_microusd, "case": None, "tokens": 15}
    return entry.model_copy(update={**update, "entry_id": ids.entry_id(entry.case_id, "settle")})


async def _spend_the_day(bench: Bench, charter: CompiledCharter) -> None:
    """One case that costs all that it may, so that there is no room for a second."""
    await bench.take(BUDGET, _reserve(charter, 1))
    await bench.take(BUDGET, _settle(_reserve(charter, 1), PRICE))


def _totals(bench: Bench) -> dict[str, tuple[int, int]]:
    """Reserved and spent by day, as the stage has them in memory."""
    account = bench.handlers._account("desk")  # type: ignore[attr-defined]  # what the stage derived is what is asked
    days = {*account.reserved_microusd, *account.spent_microusd}
    return {day: (account.reserved_microusd.get(day, 0), account.spent_microusd.get(day, 0)) for day in days}


def _recomputed(bench: Bench) -> dict[str, tuple[int, int]]:
    """The same from the facts alone."""
    totals: dict[str, tuple[int, int]] = {}
    ledger = bench.tables["ledger"]
    for partition in ledger.partitions_held():
        for value in ledger.facts(partition).values():
            fact = Fact.model_validate_json(value)
            reserved, spent = totals.get(fact.day, (0, 0))
            if fact.state == "open":
                totals[fact.day] = (reserved + fact.reserved_microusd, spent)
            elif fact.state == "settled":
                totals[fact.day] = (reserved, spent + fact.spent_microusd)
    return totals


async def test_the_worst_price_is_held_before_the_case_goes_on() -> None:
    bench = _bench()
    changes = await bench.take(BUDGET, _reserve())
    [decided] = said(changes, DECIDE, Case)
    assert decided.reserved_microusd == PRICE > 0
    assert _totals(bench) == {"2026-11-20": (PRICE, 0)}


async def test_the_same_entry_again_gives_the_same_words_and_holds_nothing_more() -> None:
    bench = _bench()
    first, again = await bench.take(BUDGET, _reserve()), await bench.take(BUDGET, _reserve())
    assert words(first) == words(again)
    assert again.puts == []
    assert _totals(bench) == {"2026-11-20": (PRICE, 0)}


async def test_what_a_case_cost_is_counted_once_and_the_rest_is_free_again() -> None:
    bench = _bench()
    await bench.take(BUDGET, _reserve())
    for _ in range(3):
        await bench.take(BUDGET, _settle(_reserve(), 1234))
    assert _totals(bench) == {"2026-11-20": (0, 1234)}


async def test_a_settled_case_that_asks_again_is_let_through_and_not_charged_again() -> None:
    bench = _bench()
    await bench.take(BUDGET, _reserve())
    await bench.take(BUDGET, _settle(_reserve(), 1234))
    again = await bench.take(BUDGET, _reserve())
    assert len(said(again, DECIDE, Case)) == 1
    assert _totals(bench) == {"2026-11-20": (0, 1234)}


async def test_a_release_frees_everything() -> None:
    bench = _bench()
    await bench.take(BUDGET, _reserve())
    await bench.take(BUDGET, _settle(_reserve(), 0).model_copy(update={"kind": "release", "amount_microusd": 99}))
    assert _totals(bench) == {"2026-11-20": (0, 0)}


async def test_what_was_spent_counts_also_where_nothing_was_held() -> None:
    bench = _bench()
    await bench.take(BUDGET, _settle(_reserve(), 77))
    assert _totals(bench) == {"2026-11-20": (0, 77)}


async def test_while_the_rest_is_held_for_others_a_case_waits_a_moment() -> None:
    clock = Clock()
    charter = _one_a_day("refuse")
    bench = _bench(charter, clock)
    await bench.take(BUDGET, _reserve(charter, 1))
    [reminder] = said(await bench.take(BUDGET, _reserve(charter, 2)), LATER, Reminder)
    assert timedelta() < reminder.due_at - NOW < timedelta(minutes=1)
    await bench.take(BUDGET, _settle(_reserve(charter, 1), 0))
    clock.now = reminder.due_at
    assert len(said(await bench.take(BUDGET, _reserve(charter, 2)), DECIDE, Case)) == 1


async def test_over_budget_a_case_waits_for_the_next_day() -> None:
    clock = Clock()
    charter = _one_a_day()
    bench = _bench(charter, clock)
    await _spend_the_day(bench, charter)
    changes = await bench.take(BUDGET, _reserve(charter, 2))
    [reminder] = said(changes, LATER, Reminder)
    [deferred] = audited(changes)
    assert deferred.status == "deferred"
    assert said(changes, DECIDE, Case) == []
    assert timedelta() < reminder.due_at - NOW.replace(hour=0) - timedelta(days=1) < timedelta(seconds=1)
    assert CODEC.decode(BudgetEntry, reminder.value) == _reserve(charter, 2)
    assert (reminder.topic, reminder.key) == ("budget", "desk")
    again = await bench.take(BUDGET, _reserve(charter, 2))
    assert words(again) == words(changes), "until it is due, the same answer"
    clock.now = reminder.due_at
    woken = await bench.take(BUDGET, _reserve(charter, 2))
    assert len(said(woken, DECIDE, Case)) == 1


async def test_over_budget_a_case_goes_to_a_person_where_the_charter_says_so() -> None:
    charter = _one_a_day("escalate")
    bench = _bench(charter)
    await _spend_the_day(bench, charter)
    [decided] = said(await bench.take(BUDGET, _reserve(charter, 2)), DECIDE, Case)
    assert decided.reserved_microusd == 0
    assert "are left" in decided.escalate_because


async def test_over_budget_a_case_is_refused_where_the_charter_says_so() -> None:
    charter = _one_a_day("refuse")
    bench = _bench(charter)
    await _spend_the_day(bench, charter)
    changes = await bench.take(BUDGET, _reserve(charter, 2))
    assert [record.status for record in audited(changes)] == ["refused"]
    assert said(changes, DECIDE, Case) == []
    assert words(await bench.take(BUDGET, _reserve(charter, 2))) == words(changes)


async def test_a_price_that_nobody_knows_is_never_reserved() -> None:
    charter = compiled(("model: claude-sonnet-5-5", "model: no-such-model"))
    changes = await _bench(charter).take(BUDGET, _reserve(charter))
    [refused] = audited(changes)
    assert refused.status == "refused"
    assert "no-such-model" in refused.reason
    assert said(changes, DECIDE, Case) == []


async def test_over_the_agents_rate_cases_wait_one_behind_the_other() -> None:
    clock = Clock()
    charter = compiled(("per_subject: 5/1h", "per_subject: 5/1h, agent: 1/1m"))
    bench = _bench(charter, clock)
    await bench.take(BUDGET, _reserve(charter, 0))
    due = []
    for number in (1, 2, 3):
        [reminder] = said(await bench.take(BUDGET, _reserve(charter, number)), LATER, Reminder)
        due.append((reminder.due_at - NOW).total_seconds())
    assert due == pytest.approx([60, 120, 180], abs=0.01)


async def test_a_case_that_comes_again_and_must_wait_still_does_not_wait_behind_itself() -> None:
    clock = Clock()
    charter = compiled(("per_subject: 5/1h", "per_subject: 5/1h, agent: 1/1m"))
    bench = _bench(charter, clock)
    await bench.take(BUDGET, _reserve(charter, 0))
    await bench.take(BUDGET, _reserve(charter, 1))
    clock.forward(60.5)
    await bench.take(BUDGET, _reserve(charter, 2))  # takes the room that was kept
    [reminder] = said(await bench.take(BUDGET, _reserve(charter, 1)), LATER, Reminder)
    assert (reminder.due_at - clock.now).total_seconds() == pytest.approx(60, abs=0.01)


_MOVES = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "release", "crash", "hour"]), st.integers(0, 5), st.integers(0, 9999)
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(_MOVES)
async def test_the_totals_are_always_what_the_facts_come_to(moves: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    charter = _one_a_day()
    bench = _bench(charter, clock)
    for move, number, amount in moves:
        if move == "reserve":
            await bench.take(BUDGET, _reserve(charter, number))
        elif move in ("settle", "release"):
            await bench.take(BUDGET, _settle(_reserve(charter, number), amount).model_copy(update={"kind": move}))
        elif move == "crash":
            bench = _bench(charter, clock).inherit(bench)
        else:
            clock.forward(5 * 3600)
        kept = {day: sums for day, sums in _totals(bench).items() if sums != (0, 0)}
        assert kept == {day: sums for day, sums in _recomputed(bench).items() if sums != (0, 0)}
        assert all(reserved >= 0 and reserved <= PRICE * 1.5 for reserved, _ in kept.values())
