"""The first settlement of a step counts, and no spent money is forgotten."""

from datetime import UTC, datetime, timedelta

import pytest

from nightdesk.processors.ledger import KEPT_S, Fact, after, day_of
from nightdesk.processors.ledger.entries import expiry, returned
from nightdesk.schemas.records import BudgetEntry, Case, Event

NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
OPEN = Fact(
    agent="a",
    case_id="c",
    state="open",
    day="2026-11-22",
    at=NOW.timestamp(),
    reserved_microusd=100,
    until=NOW.timestamp() + 900,
    event_type="ask",
    held_actions=("refund", "reply"),
)


def line(kind: str, amount: int = 0, **more: object) -> BudgetEntry:
    known = {"entry_id": kind, "kind": kind, "agent": "a", "case_id": "c", "amount_microusd": amount, "time": NOW}
    return BudgetEntry.model_validate(known | more)


def known(state: str, **more: object) -> Fact:
    return OPEN.model_copy(update={"state": state, **more})


@pytest.mark.parametrize(
    ("before", "entry", "state", "spent"),
    [
        (OPEN, line("settle", 40), "settled", 40),
        (OPEN, line("settle"), "settled", 0),
        (OPEN, line("expire", 100), "unknown", 0),
        (known("unknown"), line("settle", 40), "settled", 40),
        (known("unknown"), line("settle"), "settled", 0),
        (known("settled", settled_at=0.0), line("settle", 40), "settled", 40),
        (None, line("settle", 40), "settled", 40),
    ],
)
def test_what_a_line_makes_of_a_fact(before: Fact | None, entry: BudgetEntry, state: str, spent: int) -> None:
    fact = after(before, entry)
    assert fact is not None
    assert (fact.state, fact.spent_microusd) == (state, spent)
    assert fact.settled_at == NOW.timestamp()


@pytest.mark.parametrize("kind", ["settle", "expire", "ended"])
@pytest.mark.parametrize(
    "before",
    [known("settled", settled_at=1.0, ended_at=1.0), known("refused"), known("escalated")],
    ids=lambda fact: fact.state,
)
def test_everything_else_changes_nothing(before: Fact, kind: str) -> None:
    assert after(before, line(kind, 7)) is None


@pytest.mark.parametrize("before", [None, known("unknown")])
def test_what_was_not_held_cannot_expire(before: Fact | None) -> None:
    assert after(before, line("expire", 7)) is None


@pytest.mark.parametrize("state", ["open", "unknown", "settled"])
def test_how_a_playbook_went_is_kept_and_changes_no_money(state: str) -> None:
    before = known(state)
    assert after(before, line("ended", 7, failed=True)) == before.model_copy(
        update={"failed": True, "ended_at": NOW.timestamp()}
    )


def test_what_nobody_remembers_counts_for_the_day_that_the_line_names() -> None:
    fact = after(None, line("settle", 5, day="2026-11-20", event_type="ask", action="refund", step=2, tokens=9))
    assert fact is not None
    assert (fact.day, fact.step, fact.tokens, list(fact.tasks())) == (
        "2026-11-20", 2, 9, ["", "event:ask", "action:refund"]
    )  # fmt: skip
    older = after(None, line("settle", 5))
    assert older is not None
    assert older.day == day_of(NOW), "a line of an older program names no day"


def test_while_nobody_knows_it_counts_for_every_action_that_it_may_have_been() -> None:
    assert list(OPEN.tasks()) == list(known("unknown").tasks()) == ["", "event:ask", "action:refund", "action:reply"]


def test_an_open_fact_is_looked_at_when_it_expires_and_a_settled_one_is_kept_for_duplicates() -> None:
    assert OPEN.kept_until == OPEN.until
    late = NOW + timedelta(days=9)
    settled = after(known("unknown"), line("settle", 5, time=late))
    assert settled is not None
    assert settled.kept_until == late.timestamp() + KEPT_S


def test_an_expiry_says_what_was_held_and_when_it_was_over() -> None:
    entry = expiry(OPEN)
    assert (entry.kind, entry.amount_microusd, entry.day, entry.step) == ("expire", 100, "2026-11-22", 0)
    assert entry.time.timestamp() == OPEN.until


EVENT = Event(id="e", source="s", type="ask", subject="t", time=NOW)
CASE = Case(case_id="c", agent="a", charter_version="v", event=EVENT, received_at=NOW)


def give_back(case: Case = CASE, cost: int = 0, retry_after_s: int = 0, at: datetime = NOW) -> BudgetEntry:
    return returned(case, "unavailable", "no model answers", cost, at, retry_after_s)


@pytest.mark.parametrize("before", [OPEN, known("unknown"), known("settled", settled_at=0.0), None])
def test_a_step_that_was_given_back_waits_and_its_cost_is_spent(before: Fact | None) -> None:
    fact = after(before, give_back(cost=40, retry_after_s=60))
    assert fact is not None
    assert (fact.state, fact.spent_microusd, fact.returns) == ("returned", 40, 1)
    assert fact.kept_until == 0.0, "for as long as it waits"


@pytest.mark.parametrize(
    "before", [known("settled", settled_at=1.0), known("refused", returns=1), known("returned", returns=1)]
)
def test_what_was_decided_or_given_back_before_is_not_given_back(before: Fact) -> None:
    assert after(before, give_back(cost=40)) is None


def test_a_second_return_includes_the_cost_of_the_first_and_keeps_its_beginning() -> None:
    first = give_back(cost=40)
    assert first.case is not None
    second = give_back(first.case, cost=0, at=NOW + timedelta(hours=1))
    assert second.case is not None
    assert (second.amount_microusd, second.case.returns, second.case.returned_microusd) == (40, 2, 40)
    assert second.case.waits_since == NOW
    assert first.entry_id != second.entry_id == give_back(first.case).entry_id


def test_an_order_to_pause_does_not_begin_the_wait_for_a_model_anew() -> None:
    waiting = give_back().case
    assert waiting is not None
    paused = returned(waiting, "paused", "paused by ops", 0, NOW + timedelta(hours=1)).case
    assert paused is not None
    assert paused.waits_since == NOW


def test_a_step_that_was_given_back_is_settled_by_a_redelivery_that_decided_it() -> None:
    fact = after(known("returned", returns=1, spent_microusd=40), line("settle", 50))
    assert fact is not None
    assert (fact.state, fact.spent_microusd) == ("settled", 50)
