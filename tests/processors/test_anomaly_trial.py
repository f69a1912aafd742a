"""The trial on the audit finds what the live watch would have found, and what anybody can count."""

from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.anomaly_trial import Audited, facts_of, stops
from nightdesk.processors.charter.allowances import Anomalies
from nightdesk.processors.intervals import lowest_share

WINDOW_S = 100

LINES = st.lists(
    st.builds(
        Audited,
        at=st.integers(1, 1000).map(float),
        kind=st.sampled_from(["decided", "acted", "dead_letter"]),
        case_id=st.sampled_from("abcdef"),
        step=st.integers(0, 2),
        cost_microusd=st.integers(0, 50_000),
        latency_ms=st.integers(0, 60_000),
        low_confidence=st.booleans(),
        refused=st.booleans(),
        undecided=st.booleans(),
        failed=st.booleans(),
    ),
    max_size=40,
).map(lambda lines: sorted(lines, key=lambda line: line.at))


def _policy(**bounds: object) -> Anomalies:
    return Anomalies.model_validate({"window": WINDOW_S, "at_least": 1, "mode": "enforce", **bounds})


@given(LINES, st.integers(0, 100_000))
def test_the_first_stop_is_when_the_window_first_cost_too_much(lines: list[Audited], most_microusd: int) -> None:
    policy = _policy(spend_usd=Decimal(most_microusd) / 1_000_000)
    expected = None
    for index, line in enumerate(lines):
        last: dict[tuple[str, int], Audited] = {}
        for earlier in lines[: index + 1]:
            if earlier.kind == "decided":
                last[earlier.case_id, earlier.step] = earlier
        within = [one for one in last.values() if one.at >= line.at - WINDOW_S]
        if sum(one.cost_microusd for one in within) > most_microusd:
            expected = line.at
            break
    found = next(iter(stops(policy, facts_of(lines, "desk"))), None)
    assert (None if found is None else found.at) == expected


@given(LINES, st.sampled_from([0.0, 0.1, 0.2]))
def test_the_first_stop_is_when_too_many_of_the_window_were_refused(lines: list[Audited], at_most: float) -> None:
    policy = _policy(refusal_rate=at_most)
    expected = None
    for index, line in enumerate(lines):
        last: dict[tuple[str, int], Audited] = {}
        for earlier in lines[: index + 1]:
            if earlier.kind == "decided":
                last[earlier.case_id, earlier.step] = earlier
        within = [one for one in last.values() if one.at >= line.at - WINDOW_S]
        if within and lowest_share(sum(one.refused for one in within), len(within)) > at_most:
            expected = line.at
            break
    found = next(iter(stops(policy, facts_of(lines, "desk"))), None)
    assert (None if found is None else found.at) == expected


def test_what_only_observes_would_not_have_stopped() -> None:
    lines = [Audited(1.0, "decided", "a", 0, cost_microusd=10, refused=True)]
    observing = Anomalies.model_validate({"at_least": 1, "refusal_rate": 0.0})
    [stop] = stops(observing, facts_of(lines, "desk"))
    assert (stop.at, stop.enforced) == (1.0, False)


def test_a_step_that_ends_again_does_not_move_the_window_back() -> None:
    lines = [
        Audited(1.0, "decided", "calm", 0),
        Audited(1.0, "decided", "early", 0, refused=True),
        Audited(1.0, "acted", "early", 0),
        Audited(1.0 + 1.5 * WINDOW_S, "decided", "late", 0, refused=True),
        Audited(1.0 + 1.5 * WINDOW_S, "acted", "early", 0),  # after a replay: its decision has left the window
    ]
    found = [stop.at for stop in stops(_policy(refusal_rate=0.1, at_least=2), facts_of(lines, "desk"))]
    assert found == []


def test_it_begins_anew_after_a_stop() -> None:
    lines = [Audited(float(at), "decided", f"c-{at}", 0, refused=at in (1, 2, 3)) for at in range(1, 8)]
    policy = _policy(refusal_rate=0.2, at_least=2)
    assert [stop.at for stop in stops(policy, facts_of(lines, "desk"))] == [3.0]


@pytest.mark.parametrize("kind", ["acted", "dead_letter"])
def test_a_step_that_failed_is_seen_when_it_ended(kind: Literal["acted", "dead_letter"]) -> None:
    lines = [
        Audited(1.0, "decided", "a", 0),
        Audited(5.0, kind, "a", 0, failed=True),
        Audited(9.0, "acted", "a", 0),  # after a replay: it has failed all the same
    ]
    facts = list(facts_of(lines, "desk"))
    [stop] = stops(_policy(error_rate=0.05), facts)
    assert stop.at == 5.0
    assert (facts[-1].ended_at, facts[-1].failed) == (5.0, True)
