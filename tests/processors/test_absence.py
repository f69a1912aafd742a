"""If the other side does not know a call, that proves something only when the call's time there is over."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.charter.handlers import CallRules, HttpHandler
from nightdesk.processors.playbook.absence import (
    AskAgain,
    Moment,
    NeverHappened,
    Undecidable,
    first_missed_at,
    may_still_be_sent,
    what_absence_says,
)
from tests.processors.examples import NOW

PERIOD_S = 120


def rules(**keys: Any) -> CallRules:
    given = {"type": "http", "connection": "bank", "path": "/pay", "idempotent": "none", "reconcile": "/pay/1", **keys}
    return HttpHandler.model_validate(given).call_rules


SETTLES = rules(settles_within=f"{PERIOD_S}s", timeout="10s")


SECONDS = st.floats(-10 * PERIOD_S, 10 * PERIOD_S)
PROCESSES = st.sampled_from(("a", "b"))
MOMENTS = st.builds(Moment, PROCESSES, SECONDS)


def at(seconds: float) -> Moment:
    return Moment("a", seconds)


def test_without_a_time_it_proves_nothing() -> None:
    for age_s in (0, PERIOD_S, 10**6):
        assert what_absence_says(rules(), at(0), at(age_s)) == Undecidable()


def test_at_the_end_of_the_time_and_not_a_moment_before() -> None:
    assert what_absence_says(SETTLES, at(0), at(PERIOD_S)) == NeverHappened()
    assert what_absence_says(SETTLES, at(0), at(PERIOD_S - 1)) == AskAgain(1.0)
    assert what_absence_says(SETTLES, at(0), at(0)) == AskAgain(PERIOD_S)


@given(st.none() | MOMENTS, MOMENTS)
def test_only_a_wait_of_this_process_counts_and_none_is_longer_than_the_time(known: Moment | None, now: Moment) -> None:
    first = first_missed_at(known, now)
    assert first in (known, now)
    assert first.process == now.process
    match what_absence_says(SETTLES, first, now):
        case AskAgain(after_s):
            assert 0 < after_s <= PERIOD_S
        case told:
            assert told == NeverHappened()
            assert known is not None
            assert (first, known.process) == (known, now.process)
            assert now.seconds - known.seconds >= PERIOD_S - 1e-6


@given(st.floats(0, 10 * PERIOD_S))
def test_what_may_still_be_sent_is_over_here_within_its_time(late_s: float) -> None:
    now = NOW + timedelta(seconds=late_s)
    assert (
        may_still_be_sent(SETTLES, NOW, now) == (late_s + SETTLES.timeout_s <= PERIOD_S)
        or abs(late_s + SETTLES.timeout_s - PERIOD_S) < 1e-3
    )


def test_where_nothing_settles_a_call_may_be_sent_at_any_time() -> None:
    assert may_still_be_sent(rules(), NOW, NOW + timedelta(days=1))
