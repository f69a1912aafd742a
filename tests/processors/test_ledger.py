"""The ledger: nothing is reserved that the day does not have, and the balance is a function of the facts."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from processors.charter.quantities import Rate
from processors.ledger import Account, Fact, Granted, Policy, Withheld, day_of, next_day, reserve

NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
POLICY = Policy(per_day_microusd=1000, rate=None)


def fact(case_id: str, state: str, *, reserved: int = 0, spent: int = 0, at: datetime = NOW) -> Fact:
    return Fact.model_validate(
        {
            "agent": "a",
            "case_id": case_id,
            "state": state,
            "day": day_of(at),
            "at": at.timestamp(),
            "reserved_microusd": reserved,
            "spent_microusd": spent,
        }
    )


def account_of(*facts: Fact) -> Account:
    account = Account()
    for one in facts:
        account.replace(None, one)
    return account


def test_what_is_left_is_granted_to_the_last_micro_dollar() -> None:
    account = account_of(fact("1", "open", reserved=300), fact("2", "settled", spent=200))
    assert reserve(account, POLICY, 500, NOW) == Granted(500)
    assert isinstance(reserve(account, POLICY, 501, NOW), Withheld)


def test_a_spent_day_waits_for_the_next_one() -> None:
    withheld = reserve(account_of(fact("1", "settled", spent=900)), POLICY, 101, NOW)
    assert isinstance(withheld, Withheld)
    assert withheld.spent
    assert withheld.until == next_day(NOW).timestamp() == datetime(2026, 11, 23, tzinfo=UTC).timestamp()


def test_money_that_is_only_held_is_worth_waiting_a_moment_for() -> None:
    withheld = reserve(account_of(fact("1", "open", reserved=900)), POLICY, 101, NOW)
    assert isinstance(withheld, Withheld)
    assert not withheld.spent
    assert 0 < withheld.until - NOW.timestamp() < 5


def test_those_who_wait_come_back_one_after_another() -> None:
    waiting = [fact(str(number), "deferred") for number in range(100)]
    withheld = reserve(account_of(fact("x", "open", reserved=1000), *waiting), POLICY, 1, NOW)
    assert isinstance(withheld, Withheld)
    assert withheld.until - NOW.timestamp() == 2.0


def test_yesterdays_money_is_not_todays() -> None:
    yesterday = NOW - timedelta(days=1)
    account = account_of(fact("1", "open", reserved=1000, at=yesterday))
    assert reserve(account, POLICY, 1000, NOW) == Granted(1000)


def test_the_agents_rate_is_a_sliding_window() -> None:
    policy = Policy(1000, Rate(count=2, per_seconds=60))
    account = account_of(
        fact("1", "settled", at=NOW - timedelta(seconds=50)), fact("2", "settled", at=NOW - timedelta(seconds=10))
    )
    withheld = reserve(account, policy, 0, NOW)
    assert isinstance(withheld, Withheld)
    assert withheld.until == (NOW + timedelta(seconds=10)).timestamp()
    assert reserve(account, policy, 0, NOW + timedelta(seconds=10)) == Granted(0)


STATES = st.sampled_from(["open", "settled", "refused", "deferred", "escalated"])
FACTS = st.lists(st.tuples(st.integers(0, 9), STATES, st.integers(0, 500), st.integers(0, 500)), max_size=60)


@given(FACTS)
def test_totals_are_those_of_each_cases_last_fact(history: list[tuple[int, str, int, int]]) -> None:
    """Applied one by one, twice, or read again after a crash: the same balance."""
    account = Account()
    last: dict[int, Fact] = {}
    for case, state, reserved, spent in history:
        after = fact(str(case), state, reserved=reserved, spent=spent)
        for _ in range(2):
            account.replace(last.get(case), after)
            last[case] = after
    derived = account_of(*last.values())
    day = day_of(NOW)
    assert account.left_microusd(day, POLICY) == derived.left_microusd(day, POLICY)
    assert account.deferred == derived.deferred
    assert sorted(account.admitted) == sorted(derived.admitted)


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 400)), max_size=40))
def test_no_interleaving_spends_more_than_the_day_has(cases: list[tuple[int, int]]) -> None:
    """Each case costs at most what was held for it; every second one is still open when the next one asks."""
    account = Account()
    for number, (worst, real) in enumerate(cases):
        if not isinstance(reserve(account, POLICY, worst, NOW), Granted):
            continue
        held = fact(str(number), "open", reserved=worst)
        account.replace(None, held)
        if number % 2:
            account.replace(held, fact(str(number), "settled", spent=min(real, worst)))
        assert account.left_microusd(day_of(NOW), POLICY) >= 0
