"""The first word about a step's cost stands, and none that was spent is forgotten."""

from datetime import UTC, datetime, timedelta

import pytest

from processors.ledger import KEPT_S, Fact, after, day_of
from processors.ledger.lines import expiring
from schemas.records import BudgetEntry

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
        (OPEN, line("release", 40), "settled", 0),
        (OPEN, line("expire", 100), "unknown", 0),
        (known("unknown"), line("settle", 40), "settled", 40),
        (known("unknown"), line("release"), "settled", 0),
        (known("settled", settled_at=0.0), line("settle", 40), "settled", 40),
        (None, line("settle", 40), "settled", 40),
        (None, line("release"), "settled", 0),
    ],
)
def test_what_a_line_makes_of_a_fact(before: Fact | None, entry: BudgetEntry, state: str, spent: int) -> None:
    fact = after(before, entry)
    assert fact is not None
    assert (fact.state, fact.spent_microusd) == (state, spent)
    assert fact.settled_at == NOW.timestamp()


@pytest.mark.parametrize("kind", ["settle", "release", "expire", "ended"])
@pytest.mark.parametrize(
    "before",
    [known("settled", settled_at=1.0, ended_at=1.0), known("refused"), known("deferred"), known("escalated")],
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
    assert known("deferred").kept_until == 0.0
    late = NOW + timedelta(days=9)
    settled = after(known("unknown"), line("settle", 5, time=late))
    assert settled is not None
    assert settled.kept_until == late.timestamp() + KEPT_S


def test_an_expiry_says_what_was_held_and_when_it_was_over() -> None:
    expiry = expiring(OPEN)
    assert (expiry.kind, expiry.amount_microusd, expiry.day, expiry.step) == ("expire", 100, "2026-11-22", 0)
    assert expiry.time.timestamp() == OPEN.until
