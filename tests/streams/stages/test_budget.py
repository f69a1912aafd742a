"""Money is held before a case begins, counted once, and the totals are what the facts come to."""

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.ledger import KEPT_S, Fact
from nightdesk.processors.ledger.entries import correction, expiry, reservation, returned
from nightdesk.processors.ledger.reserving import held_for_s, worst_price_microusd
from nightdesk.schemas import ids
from nightdesk.schemas.money import money
from nightdesk.schemas.records import BudgetEntry, Case, Spent
from nightdesk.schemas.topics import BUDGET, DECIDE
from nightdesk.streams.stages.budget import Budget
from tests.effort import examples
from tests.processors.examples import NOW, case, compiled, event
from tests.streams.stages.stage_harness import PARTITION, Bench, Clock, audited, in_force, said, words

CHARTER = compiled()
PRICE = worst_price_microusd(CHARTER, case(CHARTER), NOW)
# Room for one case, and not for two.
ONE_A_DAY = f"per_day_usd: {PRICE * 1.5 / 1e6:.6f}, per_case_usd: {PRICE / 1e6:.6f}"


def _one_a_day(when_spent: str = "defer") -> CompiledCharter:
    return compiled(("per_day_usd: 25, per_case_usd: 0.50", f"{ONE_A_DAY}, when_spent: {when_spent}"))


def _bench(charter: CompiledCharter = CHARTER, clock: Clock | None = None) -> Bench:
    return Bench(Budget(in_force(charter), clock or Clock()))


def _reserve(charter: CompiledCharter = CHARTER, number: int = 1) -> BudgetEntry:
    opened = case(charter, event().model_copy(update={"id": f"e-{number}"}), reserved_microusd=0)
    return reservation(opened, NOW)


def _settle(entry: BudgetEntry, spent_microusd: int) -> BudgetEntry:
    update = {"kind": "settle", "amount_microusd": spent_microusd, "case": None, "tokens": 15}
    return entry.model_copy(update={**update, "entry_id": ids.entry_id(entry.case_id, "settle")})


async def _spend_the_day(bench: Bench, charter: CompiledCharter) -> None:
    """One case that costs all that it may, so that there is no room for a second."""
    await bench.take(BUDGET, _reserve(charter, 1))
    await bench.take(BUDGET, _settle(_reserve(charter, 1), PRICE))


def _totals(bench: Bench) -> dict[str, tuple[int, int]]:
    """Reserved and gone by day, as the stage has them in memory."""
    account = bench.handlers._accounts.of("desk")  # type: ignore[attr-defined]  # what the stage derived is what is asked
    return {
        day: (balance.reserved_microusd, balance.consumed_microusd)
        for (day, task), balance in account.balances.items()
        if not task
    }


def _recomputed(bench: Bench) -> dict[str, tuple[int, int]]:
    """The same from the facts alone."""
    totals: dict[str, tuple[int, int]] = {}
    ledger = bench.tables["ledger"]
    for partition in ledger.partitions():
        for _, value in ledger.items(partition):
            fact = Fact.model_validate_json(value)
            reserved, gone = totals.get(fact.day, (0, 0))
            if fact.state == "open":
                totals[fact.day] = (reserved + fact.reserved_microusd, gone)
            elif fact.state in ("settled", "unknown") or fact.returns:
                is_known = fact.state != "unknown" or fact.corrected_microusd is not None
                spent = fact.counted_microusd if is_known else fact.reserved_microusd
                totals[fact.day] = (reserved, gone + spent)
    return totals


async def test_the_worst_price_is_held_before_the_case_goes_on() -> None:
    bench = _bench()
    writes = await bench.take(BUDGET, _reserve())
    [decided] = said(writes, DECIDE, Case)
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


async def test_a_step_that_cost_nothing_frees_everything() -> None:
    bench = _bench()
    await bench.take(BUDGET, _reserve())
    await bench.take(BUDGET, _settle(_reserve(), 0))
    assert _totals(bench) == {"2026-11-20": (0, 0)}


async def test_what_was_spent_counts_also_where_nothing_was_held() -> None:
    bench = _bench()
    await bench.take(BUDGET, _settle(_reserve(), 77))
    assert _totals(bench) == {"2026-11-20": (0, 77)}


async def test_over_budget_a_case_goes_to_a_person_where_the_charter_says_so() -> None:
    charter = _one_a_day("escalate")
    bench = _bench(charter)
    await _spend_the_day(bench, charter)
    [decided] = said(await bench.take(BUDGET, _reserve(charter, 2)), DECIDE, Case)
    assert decided.reserved_microusd == 0
    assert "is left" in decided.escalate_because
    assert decided.cause == "spent"


@pytest.mark.parametrize("when_spent", ["escalate", "refuse"])
async def test_that_an_urgent_expression_fails_is_said_where_the_case_ends_without_a_wait(when_spent: str) -> None:
    """Otherwise it might have used the reserve, and nobody would know why it did not."""
    urgent = f"{ONE_A_DAY}, when_spent: {when_spent}, urgent: event.data.late"
    charter = compiled(("per_day_usd: 25, per_case_usd: 0.50", urgent))
    bench = _bench(charter)
    await _spend_the_day(bench, charter)
    writes = await bench.take(BUDGET, _reserve(charter, 2))
    [why] = [found.escalate_because for found in said(writes, DECIDE, Case)] or [one.reason for one in audited(writes)]
    assert "is left" in why
    assert "budget.urgent failed: " in why


async def test_over_budget_a_case_is_refused_where_the_charter_says_so() -> None:
    charter = _one_a_day("refuse")
    bench = _bench(charter)
    await _spend_the_day(bench, charter)
    writes = await bench.take(BUDGET, _reserve(charter, 2))
    assert [record.status for record in audited(writes)] == ["refused"]
    assert said(writes, DECIDE, Case) == []
    assert words(await bench.take(BUDGET, _reserve(charter, 2))) == words(writes)


async def test_a_price_that_nobody_knows_is_never_reserved() -> None:
    charter = compiled(("model: claude-sonnet-5-5", "model: no-such-model"))
    writes = await _bench(charter).take(BUDGET, _reserve(charter))
    [refused] = audited(writes)
    assert refused.status == "refused"
    assert "no-such-model" in refused.reason
    assert said(writes, DECIDE, Case) == []


async def test_a_later_step_asks_for_what_is_left_of_its_case_and_is_no_new_case() -> None:
    charter = compiled(("per_subject: 5/1h", "per_subject: 5/1h, agent: 1/1m"))
    bench = _bench(charter)
    first = _reserve(charter)
    await bench.take(BUDGET, first)
    await bench.take(BUDGET, _settle(first, 100_000))
    assert first.case is not None
    following = first.case.model_copy(update={"step": 1, "spent": Spent(model_calls=1, cost_microusd=100_000)})
    [decided] = said(await bench.take(BUDGET, reservation(following, NOW)), DECIDE, Case)
    worst = worst_price_microusd(charter, following, NOW)
    assert decided.reserved_microusd == 100_000 + worst, "all that the case may have spent when the step ends"
    assert 0 < worst <= charter.charter.budget.per_case_microusd - 100_000
    assert _totals(bench) == {"2026-11-20": (worst, 100_000)}


async def test_what_is_never_settled_counts_as_spent_and_a_late_word_corrects_it() -> None:
    clock = Clock()
    bench = _bench(clock=clock)
    [decided] = said(await bench.take(BUDGET, _reserve()), DECIDE, Case)
    clock.forward(held_for_s(CHARTER.charter) - 1)
    assert bench.tick().messages == []
    clock.forward(2)
    [expiry] = said(bench.tick(), BUDGET, BudgetEntry)
    assert (expiry.kind, expiry.amount_microusd) == ("expire", PRICE)
    assert bench.tick().messages == [], "it is said once"
    assert _totals(bench) == {"2026-11-20": (PRICE, 0)}, "until its own line is read it is held"
    for _ in range(2):
        await bench.take(BUDGET, expiry)
        assert _totals(bench) == {"2026-11-20": (0, PRICE)}
    [again] = said(await bench.take(BUDGET, _reserve()), DECIDE, Case)
    assert again == decided
    for _ in range(2):
        await bench.take(BUDGET, _settle(_reserve(), 1234))
        assert _totals(bench) == {"2026-11-20": (0, 1234)}
    await bench.take(BUDGET, expiry)
    assert _totals(bench) == {"2026-11-20": (0, 1234)}


async def test_an_expiry_that_died_with_its_process_is_said_by_the_next() -> None:
    clock = Clock()
    dead = _bench(clock=clock)
    await dead.take(BUDGET, _reserve())
    clock.forward(held_for_s(CHARTER.charter) + 1)
    bench = _bench(clock=clock).inherit(dead)
    assert [entry.kind for entry in said(bench.tick(), BUDGET, BudgetEntry)] == ["expire"]


async def test_facts_of_days_that_are_over_are_forgotten_here_and_in_the_totals() -> None:
    clock = Clock()
    bench = _bench(clock=clock)
    await bench.take(BUDGET, _reserve())
    await bench.take(BUDGET, _settle(_reserve(), 1234))
    clock.forward(KEPT_S + 1)
    bench.tick()
    assert len(bench.tables["ledger"]) == 0
    assert _totals(bench) == {}


def _two_a_day(of: str) -> CompiledCharter:
    """Room for two cases of one task, and for more of others."""
    return compiled(("per_case_usd: 0.50", f"per_case_usd: {PRICE / 1e6:.6f}, {of}: {PRICE * 2 / 1e6:.6f}}}}}"))


async def test_over_its_event_types_budget_a_case_waits() -> None:
    charter = _two_a_day("events: {ticket.created: {per_day_usd")
    bench = _bench(charter)
    for number in (1, 2):
        await bench.take(BUDGET, _reserve(charter, number))
        await bench.take(BUDGET, _settle(_reserve(charter, number), PRICE))
    [deferred] = audited(await bench.take(BUDGET, _reserve(charter, 3)))
    assert "for event:ticket.created" in deferred.reason


async def test_a_case_that_finds_no_money_for_an_action_begins_without_it() -> None:
    charter = _two_a_day("actions: {refund: {per_day_usd")
    bench = _bench(charter)
    for number in (1, 2):
        [decided] = said(await bench.take(BUDGET, _reserve(charter, number)), DECIDE, Case)
        assert decided.closed_actions == ()
    [closed] = said(await bench.take(BUDGET, _reserve(charter, 3)), DECIDE, Case)
    assert closed.closed_actions == ("refund",)
    assert closed.budget_day == "2026-11-20"
    assert said(await bench.take(BUDGET, _reserve(charter, 3)), DECIDE, Case) == [closed]
    await bench.take(BUDGET, _settle(_reserve(charter, 1), PRICE).model_copy(update={"action": "respond"}))
    [opened] = said(await bench.take(BUDGET, _reserve(charter, 4)), DECIDE, Case)
    assert opened.closed_actions == (), "the first was decided otherwise, and its hold on refund is gone"


@pytest.mark.parametrize("seed", range(5))
async def test_a_hundred_events_at_the_edge_overspend_nothing(seed: int) -> None:
    """All of them at once, with room for ten; each costs up to its worst price, and the others wait meanwhile."""
    chance, clock = random.Random(seed), Clock()
    charter = compiled(("per_day_usd: 25, per_case_usd: 0.50", _room_for(10)))
    bench = _bench(charter, clock)
    entries = {entry.case_id: entry for entry in (_reserve(charter, number) for number in range(100))}
    started: list[str] = []
    for entry in entries.values():
        started += [case.case_id for case in said(await bench.take(BUDGET, entry), DECIDE, Case)]
    spent, still_open = 0, list(started)
    while still_open:
        cost = chance.choice([PRICE, chance.randint(0, PRICE)])
        spent += cost
        await bench.take(BUDGET, _settle(entries[still_open.pop(chance.randrange(len(still_open)))], cost))
        went_on = [case.case_id for case in said(bench.tick(), DECIDE, Case)]
        started, still_open = started + went_on, still_open + went_on
        assert sum(_totals(bench)["2026-11-20"]) <= PRICE * 10
    assert _totals(bench) == {"2026-11-20": (0, spent)}
    assert PRICE * 9 < spent <= PRICE * 10, "and nearly all of it was used"
    assert started == list(entries)[: len(started)], "first come, first served"


def _room_for(cases: int) -> str:
    return f"per_day_usd: {PRICE * cases / 1e6:.6f}, per_case_usd: {PRICE / 1e6:.6f}"


_MOVES = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "crash", "hours"]), st.integers(0, 5), st.integers(0, 9999)),
    max_size=40,
)


@settings(max_examples=examples(60))
@given(_MOVES)
async def test_the_totals_are_always_what_the_facts_come_to(moves: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    charter = _one_a_day()
    bench = _bench(charter, clock)
    for move, number, amount in moves:
        if move == "reserve":
            await bench.take(BUDGET, _reserve(charter, number))
        elif move == "settle":
            await bench.take(BUDGET, _settle(_reserve(charter, number), amount))
        elif move == "crash":
            bench = _bench(charter, clock).inherit(bench)
        else:
            clock.forward(5 * 3600)
            for expiry in said(bench.tick(), BUDGET, BudgetEntry):
                await bench.take(BUDGET, expiry)
        bench.tick()
        kept = {day: sums for day, sums in _totals(bench).items() if sums != (0, 0)}
        assert kept == {day: sums for day, sums in _recomputed(bench).items() if sums != (0, 0)}
        assert all(reserved >= 0 and reserved <= PRICE * 1.5 for reserved, _ in kept.values())


@pytest.mark.parametrize("claimed", [PRICE + 1, 10**15])
async def test_a_claim_beyond_what_was_held_is_kept_as_it_came_and_counts_for_what_was_held(claimed: int) -> None:
    bench = _bench()
    await bench.take(BUDGET, _reserve())
    first, again = [await bench.take(BUDGET, _settle(_reserve(), claimed)) for _ in range(2)]
    assert _totals(bench) == {"2026-11-20": (0, PRICE)}
    assert words(first) == words(again), "read twice it is said twice, under one id"
    [record] = audited(first)
    assert (record.kind, record.agent, money(claimed) in record.reason) == ("budget", "desk", True)
    [(_, value)] = bench.tables["ledger"].items(PARTITION)
    assert Fact.model_validate_json(value).spent_microusd == claimed, "the books agree with the log and the audit"


async def test_what_costs_as_much_as_was_held_is_no_anomaly() -> None:
    bench = _bench()
    await bench.take(BUDGET, _reserve())
    assert audited(await bench.take(BUDGET, _settle(_reserve(), PRICE))) == []
    assert _totals(bench) == {"2026-11-20": (0, PRICE)}


async def test_a_person_puts_it_right_and_the_last_word_stands() -> None:
    clock = Clock()
    bench = _bench(clock=clock)
    await bench.take(BUDGET, _reserve())
    await bench.take(BUDGET, _settle(_reserve(), 10**15))
    [(_, value)] = bench.tables["ledger"].items(PARTITION)
    fact = Fact.model_validate_json(value)
    first = correction(fact, 2 * PRICE, "ada", "the invoice says so", NOW)
    last = correction(fact, 7, "ada", "a credit came", NOW + timedelta(hours=1))
    for line in (first, last, first, last):
        writes = await bench.take(BUDGET, line)
        [record] = audited(writes)
        assert (record.kind, "ada" in record.reason, line.reason in record.reason) == ("budget", True, True)
        assert _totals(bench) == {"2026-11-20": (0, line.amount_microusd)}
    assert _totals(bench.inherit(bench)) == {"2026-11-20": (0, 7)}
    await bench.take(BUDGET, _settle(_reserve(), 10**15))
    assert _totals(bench) == {"2026-11-20": (0, 7)}, "the claim that comes again changes nothing"


async def test_what_was_never_settled_can_be_put_right_too() -> None:
    clock = Clock()
    bench = _bench(clock=clock)
    await bench.take(BUDGET, _reserve())
    [(_, value)] = bench.tables["ledger"].items(PARTITION)
    fact = Fact.model_validate_json(value)
    await bench.take(BUDGET, correction(fact, 5, "ada", "too early", NOW))
    assert _totals(bench) == {"2026-11-20": (PRICE, 0)}, "what is still open has nothing to correct"
    await bench.take(BUDGET, expiry(fact))
    assert _totals(bench) == {"2026-11-20": (0, PRICE)}
    await bench.take(BUDGET, correction(fact, 5, "ada", "the provider was down", NOW))
    assert _totals(bench) == {"2026-11-20": (0, 5)}


async def test_a_step_that_was_given_back_frees_its_money_and_asks_again() -> None:
    clock = Clock()
    bench = _bench(clock=clock)
    [first] = said(await bench.take(BUDGET, _reserve()), DECIDE, Case)
    entry = returned(first, "unavailable", "no model answers", 100, clock())
    await bench.take(BUDGET, entry)
    assert _totals(bench) == _recomputed(bench) == {"2026-11-20": (0, 100)}
    clock.forward(5)
    [second] = said(bench.tick(), DECIDE, Case)
    assert (second.returns, second.returned_microusd, second.waits_since) == (1, 100, NOW)
    assert second.reserved_microusd == PRICE + 100, "what it has cost already is part of what it may cost"
    assert _totals(bench) == _recomputed(bench) == {"2026-11-20": (PRICE + 100, 0)}
    assert words(await bench.take(BUDGET, entry)) == [], "it asks already"
    await bench.take(BUDGET, _settle(_reserve(), 150))
    assert _totals(bench) == _recomputed(bench) == {"2026-11-20": (0, 150)}


async def test_a_step_that_was_given_back_does_not_count_twice_against_the_rate() -> None:
    clock = Clock()
    charter = compiled(("limits: {per_subject: 5/1h}", "limits: {per_subject: 5/1h, agent: 1/1h}"))
    bench = _bench(charter, clock)
    [opened] = said(await bench.take(BUDGET, _reserve(charter)), DECIDE, Case)
    await bench.take(BUDGET, returned(opened, "unavailable", "no model answers", 0, clock()))
    clock.forward(5)
    assert said(bench.tick(), DECIDE, Case)
    assert not said(await bench.take(BUDGET, _reserve(charter, 2)), DECIDE, Case)
