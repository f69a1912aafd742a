"""Nothing is reserved that a balance does not have, and a refusal says until when."""

from datetime import UTC, datetime, timedelta

import pytest

from nightdesk.processors.ledger import Account, Fact, day_of
from nightdesk.processors.ledger.reserving import (
    BudgetPolicy,
    Granted,
    Withheld,
    held_for_s,
    policy_for,
    reserve,
    worst_price_microusd,
)
from nightdesk.processors.quantities import Rate
from nightdesk.schemas.records import Spent
from tests.processors.examples import case, compiled

NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
POLICY = BudgetPolicy({"": 1000})


def fact(case_id: str, state: str, *, at: datetime = NOW, **more: object) -> Fact:
    known = {"agent": "a", "case_id": case_id, "state": state, "day": day_of(at), "at": at.timestamp()}
    return Fact.model_validate(known | more)


def held(case_id: str, reserved: int, **more: object) -> Fact:
    return fact(case_id, "open", reserved_microusd=reserved, **more)  # type: ignore[arg-type]  # `at` is not among them


def spent(case_id: str, microusd: int, **more: object) -> Fact:
    return fact(case_id, "settled", spent_microusd=microusd, **more)  # type: ignore[arg-type]  # `at` is not among them


def account_of(*facts: Fact) -> Account:
    account = Account()
    for one in facts:
        account.replace(None, one)
    return account


def test_what_is_left_is_granted_to_the_last_micro_dollar() -> None:
    account = account_of(held("1", 200), spent("2", 200), fact("3", "unknown", reserved_microusd=100))
    assert reserve(account, POLICY, 500, NOW) == Granted(500)
    assert isinstance(reserve(account, POLICY, 501, NOW), Withheld)


def test_a_spent_day_waits_for_the_next_one() -> None:
    withheld = reserve(account_of(spent("1", 900)), POLICY, 101, NOW)
    assert isinstance(withheld, Withheld)
    assert withheld.gate == "spent"
    assert withheld.opens_at == datetime(2026, 11, 23, tzinfo=UTC).timestamp()


def test_what_nobody_settled_is_as_good_as_spent() -> None:
    withheld = reserve(account_of(fact("1", "unknown", reserved_microusd=900)), POLICY, 101, NOW)
    assert isinstance(withheld, Withheld)
    assert withheld.gate == "spent"


def test_money_that_is_only_held_is_waited_for_and_no_clock_brings_it() -> None:
    withheld = reserve(account_of(held("1", 900)), POLICY, 101, NOW)
    assert isinstance(withheld, Withheld)
    assert (withheld.gate, withheld.scope, withheld.opens_at) == ("held", "", 0.0)


def test_yesterdays_money_is_not_todays() -> None:
    account = account_of(fact("1", "open", at=NOW - timedelta(days=1), reserved_microusd=1000))
    assert reserve(account, POLICY, 1000, NOW) == Granted(1000)


def test_the_agents_rate_is_a_sliding_window_of_cases() -> None:
    policy = BudgetPolicy({"": 1000}, Rate(count=2, per_seconds=60))
    earlier, later = NOW - timedelta(seconds=50), NOW - timedelta(seconds=10)
    account = account_of(
        fact("1", "settled", at=earlier), fact("2", "settled", at=later), fact("2", "settled", at=later, step=1)
    )
    withheld = reserve(account, policy, 0, NOW)
    assert isinstance(withheld, Withheld)
    assert (withheld.gate, withheld.opens_at) == ("rate", (NOW + timedelta(seconds=10)).timestamp())
    assert reserve(account, policy, 0, NOW + timedelta(seconds=10)) == Granted(0)


def test_an_event_type_has_a_purse_of_its_own() -> None:
    policy = BudgetPolicy({"": 1000, "event:ask": 300})
    account = account_of(spent("1", 200, event_type="ask"), spent("2", 200, event_type="other"))
    assert reserve(account, policy, 100, NOW) == Granted(100)
    withheld = reserve(account, policy, 101, NOW)
    assert isinstance(withheld, Withheld)
    assert withheld.gate == "spent"
    assert "for event:ask" in withheld.reason


def test_an_action_without_room_is_closed_to_the_step_and_the_others_are_held() -> None:
    policy = BudgetPolicy({"": 1000}, actions_microusd={"refund": 300, "reply": 300})
    account = account_of(spent("1", 100, action="refund"), held("2", 150, held_actions=("refund",)))
    assert reserve(account, policy, 50, NOW) == Granted(50, ("refund", "reply"), ())
    assert reserve(account, policy, 51, NOW) == Granted(51, ("reply",), ("refund",))
    assert reserve(account, policy, 0, NOW) == Granted(0), "what costs nothing closes nothing"


BUDGET = "budget: {per_day_usd: 25, per_case_usd: 0.50}"
TASKS = (
    "budget: {per_day_usd: 25, per_case_usd: 0.50, events: {ticket.created: {per_day_usd: 3}},"
    " actions: {refund: {per_day_usd: 2}}}"
)


def test_a_charter_says_what_each_task_may_spend() -> None:
    charter = compiled((BUDGET, TASKS), ("per_subject: 5/1h", "agent: 5/1h"))
    first = policy_for(charter.charter, "ticket.created", begins=True)
    assert first.caps_microusd == {"": 25_000_000, "event:ticket.created": 3_000_000}
    assert first.actions_microusd == {"refund": 2_000_000}
    assert first.rate == Rate(count=5, per_seconds=3600)
    assert policy_for(charter.charter, "ticket.created", begins=False).rate is None, "the rate is of cases"


@pytest.mark.parametrize(
    ("spent", "at_most"),
    [(Spent(), 500_000), (Spent(cost_microusd=499_000), 1_000), (Spent(cost_microusd=500_001), 0)],
)
def test_a_step_costs_at_most_what_is_left_of_its_case(spent: Spent, at_most: int) -> None:
    charter = compiled(("model: claude-sonnet-5-5", "model: claude-opus-4-1\n  max_output_tokens: 64000"))
    assert worst_price_microusd(charter, case(charter, spent=spent), NOW) == at_most


def test_fewer_calls_left_cost_less() -> None:
    charter = compiled()
    all_six = worst_price_microusd(charter, case(charter), NOW)
    one = worst_price_microusd(charter, case(charter, spent=Spent(model_calls=5)), NOW)
    assert all_six == 6 * one > 0
    assert worst_price_microusd(charter, case(charter, spent=Spent(model_calls=6)), NOW) == 0


def test_money_is_held_for_as_long_as_the_charter_lets_the_step_ask() -> None:
    assert held_for_s(compiled().charter) == 120 + 6 * 30 + 600


def test_a_settled_case_keeps_its_place_in_the_rate_also_after_the_clock_went_back() -> None:
    rate = Rate(count=1, per_seconds=3600)
    opened = held("1", 200, at=NOW + timedelta(hours=5))
    account = account_of(opened)
    assert account.room_at(rate, NOW.timestamp()) == NOW.timestamp() + 3600
    settled = opened.model_copy(update={"state": "settled", "spent_microusd": 100})
    account.replace(opened, settled)
    later = NOW.timestamp() + 3600
    assert account.room_at(rate, later) <= later, "it counts once, from when the clock was right"
