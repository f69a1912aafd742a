"""The circuit breaker keeps its promises over every history that hypothesis generates."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nightdesk.processors.breaker import (
    TRANSITIONS,
    BreakerPolicy,
    CallReport,
    CircuitStatus,
    Result,
    State,
    admit,
    record,
    shut_for_s,
)

POLICY = BreakerPolicy(failures_to_open=3, open_seconds=10.0, probes=2)


def fail(state: State, times: int, now: float = 0.0, retry_after_seconds: float = 0.0) -> State:
    for _ in range(times):
        state, generation = admit(POLICY, state, now)
        assert generation is not None
        state = record(POLICY, state, CallReport(generation, Result.FAILED, retry_after_seconds), now)
    return state


def test_the_table_is_complete() -> None:
    assert set(TRANSITIONS) == {(status, result) for status in CircuitStatus for result in Result}


def test_it_opens_after_failures_in_a_row() -> None:
    state = fail(State(), 2)
    state = record(POLICY, state, CallReport(state.generation, Result.SUCCEEDED), 0.0)
    state = fail(state, 2)
    assert state.status is CircuitStatus.CLOSED
    state = fail(state, 1)
    assert state.status is CircuitStatus.OPEN
    assert admit(POLICY, state, 9.99)[1] is None
    assert admit(POLICY, state, 10.0)[1] is not None


def test_it_lets_out_so_many_probes_and_the_first_answer_decides() -> None:
    state, first = admit(POLICY, fail(State(), 3), 10.0)
    state, second = admit(POLICY, state, 10.0)
    assert first is not None
    assert second == first
    assert admit(POLICY, state, 10.0)[1] is None
    assert record(POLICY, state, CallReport(first, Result.SUCCEEDED), 10.0).status is CircuitStatus.CLOSED
    opened = record(POLICY, state, CallReport(first, Result.FAILED), 11.0)
    assert (opened.status, opened.open_until) == (CircuitStatus.OPEN, 21.0)
    assert record(POLICY, opened, CallReport(first, Result.SUCCEEDED), 12.0) == opened


def test_an_abandoned_probe_makes_room() -> None:
    state, generation = admit(POLICY, fail(State(), 3), 10.0)
    assert generation is not None
    state, _ = admit(POLICY, state, 10.0)
    state = record(POLICY, state, CallReport(generation, Result.ABANDONED), 10.0)
    assert admit(POLICY, state, 10.0)[1] == generation


@given(st.floats(0, 1_000))
def test_it_waits_as_long_as_the_provider_asks_and_never_shorter_than_the_policy(retry_after_seconds: float) -> None:
    assert fail(State(), 3, 5.0, retry_after_seconds).open_until == 5.0 + max(10.0, retry_after_seconds)


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 2e9))
def test_nobody_shuts_it_for_longer_than_the_policy(retry_after_seconds: float, now: float) -> None:
    opened = fail(State(), 3, now, retry_after_seconds)
    # A difference of two times of today is as precise as a float is.
    assert 0 < shut_for_s(POLICY, opened, now) <= POLICY.open_seconds_at_most + 1e-6
    assert admit(POLICY, opened, now + POLICY.open_seconds_at_most)[1] is not None


@given(st.lists(st.floats(-10_000, 10_000), max_size=20))
def test_no_clock_shuts_it_for_longer_than_it_was_opened(jumps: list[float]) -> None:
    """The clock jumps while the circuit is open: it never stays open for more than ten further seconds."""
    state, now = fail(State(), 3, 2e9), 2e9
    for jump in jumps:
        now += jump
        assert shut_for_s(POLICY, state, now) <= 10.0
        assert (admit(POLICY, state, now)[1] is None) == (0 < state.open_until - now <= state.open_seconds)


def test_an_end_that_a_wrong_clock_wrote_is_not_believed() -> None:
    ahead = State(CircuitStatus.OPEN, 1, open_until=3_600.0 + 15.0, open_seconds=15.0)
    assert admit(POLICY, ahead, 0.0)[1] is not None
    for_ever = State(CircuitStatus.OPEN, 1, open_until=float("inf"), open_seconds=float("inf"))
    assert admit(POLICY, for_ever, 0.0)[1] is not None


class Histories(RuleBasedStateMachine):
    """Calls are made, end in any order at any time, or are cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.now = 0.0
        self.out: list[int] = []

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        before = self.state
        self.state, generation = admit(POLICY, self.state, self.now)
        if before.status is CircuitStatus.CLOSED:
            assert generation == before.generation
        if before.status is CircuitStatus.OPEN:
            assert (generation is not None) == (self.now >= before.open_until)
        if generation is not None:
            self.out.append(generation)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), result=st.sampled_from(Result))
    def end(self, data: st.DataObject, result: Result) -> None:
        generation = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.state
        self.state = record(POLICY, before, CallReport(generation, result), self.now)
        if generation != before.generation:
            assert self.state == before
        if result is Result.SUCCEEDED and generation == before.generation:
            assert self.state.status is CircuitStatus.CLOSED
        if result is Result.ABANDONED:
            assert self.state.status is before.status

    @invariant()
    def it_counts_the_probes_that_are_out(self) -> None:
        probes = self.out.count(self.state.generation) if self.state.status is CircuitStatus.HALF_OPEN else 0
        assert self.state.probes_out == probes <= POLICY.probes

    @invariant()
    def it_never_stays_closed_on_too_many_failures(self) -> None:
        assert 0 <= self.state.failures < POLICY.failures_to_open


TestHistories = Histories.TestCase
