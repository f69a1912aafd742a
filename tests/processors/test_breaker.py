"""The circuit breaker against what it promises, over every history that hypothesis thinks of."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from processors.breaker import TRANSITIONS, Policy, Report, Result, State, Status, admit, record

POLICY = Policy(failures_to_open=3, open_seconds=10.0, probes=2)


def fail(state: State, times: int, now: float = 0.0, retry_after_seconds: float = 0.0) -> State:
    for _ in range(times):
        state, generation = admit(POLICY, state, now)
        assert generation is not None
        state = record(POLICY, state, Report(generation, Result.FAILED, retry_after_seconds), now)
    return state


def test_the_table_is_complete() -> None:
    assert set(TRANSITIONS) == {(status, result) for status in Status for result in Result}


def test_it_opens_after_failures_in_a_row() -> None:
    state = fail(State(), 2)
    state = record(POLICY, state, Report(state.generation, Result.SUCCEEDED), 0.0)
    state = fail(state, 2)
    assert state.status is Status.CLOSED
    state = fail(state, 1)
    assert state.status is Status.OPEN
    assert admit(POLICY, state, 9.99)[1] is None
    assert admit(POLICY, state, 10.0)[1] is not None


def test_it_lets_out_so_many_probes_and_the_first_answer_decides() -> None:
    state, first = admit(POLICY, fail(State(), 3), 10.0)
    state, second = admit(POLICY, state, 10.0)
    assert first is not None
    assert second == first
    assert admit(POLICY, state, 10.0)[1] is None
    assert record(POLICY, state, Report(first, Result.SUCCEEDED), 10.0).status is Status.CLOSED
    opened = record(POLICY, state, Report(first, Result.FAILED), 11.0)
    assert (opened.status, opened.open_until) == (Status.OPEN, 21.0)
    assert record(POLICY, opened, Report(first, Result.SUCCEEDED), 12.0) == opened


def test_an_abandoned_probe_makes_room() -> None:
    state, generation = admit(POLICY, fail(State(), 3), 10.0)
    assert generation is not None
    state, _ = admit(POLICY, state, 10.0)
    state = record(POLICY, state, Report(generation, Result.ABANDONED), 10.0)
    assert admit(POLICY, state, 10.0)[1] == generation


@given(st.floats(0, 1_000))
def test_it_waits_as_long_as_the_provider_asks_and_never_shorter_than_the_policy(retry_after_seconds: float) -> None:
    assert fail(State(), 3, 5.0, retry_after_seconds).open_until == 5.0 + max(10.0, retry_after_seconds)


class Histories(RuleBasedStateMachine):
    """Calls go out, end in any order at any time, or are cancelled."""

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
        if before.status is Status.CLOSED:
            assert generation == before.generation
        if before.status is Status.OPEN:
            assert (generation is not None) == (self.now >= before.open_until)
        if generation is not None:
            self.out.append(generation)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), result=st.sampled_from(Result))
    def end(self, data: st.DataObject, result: Result) -> None:
        generation = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.state
        self.state = record(POLICY, before, Report(generation, result), self.now)
        if generation != before.generation:
            assert self.state == before
        if result is Result.SUCCEEDED and generation == before.generation:
            assert self.state.status is Status.CLOSED
        if result is Result.ABANDONED:
            assert self.state.status is before.status

    @invariant()
    def it_counts_the_probes_that_are_out(self) -> None:
        probes = self.out.count(self.state.generation) if self.state.status is Status.HALF_OPEN else 0
        assert self.state.probes_out == probes <= POLICY.probes

    @invariant()
    def it_never_stays_closed_on_too_many_failures(self) -> None:
        assert 0 <= self.state.failures < POLICY.failures_to_open


TestHistories = Histories.TestCase
