"""The circuit breaker: stops calling a system that does not answer, and probes whether it answers again. Pure.

`streams/stages/circuits.py` keeps one `State` for each model provider and each connection, and calls `admit` and
`record` around each call. `now` is in seconds of a clock that may jump, so no circuit stays open for longer than it was
opened for. Failures count in a row, so a system that answers every other call stays in use.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple


class CircuitStatus(StrEnum):
    CLOSED = "closed"  # calls are made
    OPEN = "open"  # no calls are made
    HALF_OPEN = "half_open"  # a few probes are made


class Result(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABANDONED = "abandoned"  # cancelled or never sent: tells nothing about the provider


class BreakerPolicy(NamedTuple):
    """Open after this many failures in a row; probe after `open_seconds`, with this many calls at once.

    A `Retry-After` opens the circuit for longer, but never for more than `open_seconds_at_most`.
    """

    failures_to_open: int = 5
    open_seconds: float = 15.0
    open_seconds_at_most: float = 3_600.0
    probes: int = 1


class State(NamedTuple):
    """`generation` counts status changes: the result of a call from an earlier generation is ignored.

    An open circuit was opened for `open_seconds` by a failure of kind `cause`, and is probed from `open_until` on.
    """

    status: CircuitStatus = CircuitStatus.CLOSED
    generation: int = 0
    failures: int = 0
    open_until: float = 0.0
    open_seconds: float = 0.0
    cause: str = ""
    probes_out: int = 0


class CallReport(NamedTuple):
    """How an admitted call ended; `retry_after_seconds` as the provider asked, `cause` is the kind of the failure."""

    generation: int
    result: Result
    retry_after_seconds: float = 0.0
    cause: str = ""


def shut_for_s(policy: BreakerPolicy, state: State, now: float) -> float:
    """Seconds until a call will be admitted; 0 if one is admitted now.

    An `open_until` further ahead than the circuit was opened for was written by a clock that was ahead, and is ignored.
    """
    if state.status is not CircuitStatus.OPEN:
        return 0.0
    left_s = state.open_until - now
    return left_s if 0 < left_s <= min(state.open_seconds, policy.open_seconds_at_most) else 0.0


def admit(policy: BreakerPolicy, state: State, now: float) -> tuple[State, int | None]:
    """Whether a call may be made. Returns the new state, and the generation to report back with, or None if not.

    Each admitted call must be reported once, also if it was cancelled: a probe that never reports blocks the next one.
    """
    if state.status is CircuitStatus.OPEN and not shut_for_s(policy, state, now):
        state = _enter(state, CircuitStatus.HALF_OPEN)._replace(cause=state.cause)
    if state.status is CircuitStatus.OPEN or (
        state.status is CircuitStatus.HALF_OPEN and state.probes_out >= policy.probes
    ):
        return state, None
    if state.status is CircuitStatus.HALF_OPEN:
        state = state._replace(probes_out=state.probes_out + 1)
    return state, state.generation


def record(policy: BreakerPolicy, state: State, report: CallReport, now: float) -> State:
    """The state after a call ended. A report of an earlier generation changes nothing."""
    if report.generation != state.generation:
        return state
    return TRANSITIONS[state.status, report.result](policy, state, report, now)


def _enter(state: State, status: CircuitStatus) -> State:
    return State(status, state.generation + 1)


def _open(policy: BreakerPolicy, state: State, report: CallReport, now: float) -> State:
    seconds = min(max(policy.open_seconds, report.retry_after_seconds), policy.open_seconds_at_most)
    # Rounded as it will be read back, so that rounding never moves the end beyond the open time.
    opened = _enter(state, CircuitStatus.OPEN)._replace(open_until=now + seconds, open_seconds=now + seconds - now)
    return opened._replace(cause=report.cause)


def _count(policy: BreakerPolicy, state: State, report: CallReport, now: float) -> State:
    if state.failures + 1 >= policy.failures_to_open:
        return _open(policy, state, report, now)
    return state._replace(failures=state.failures + 1)


def _forget(policy: BreakerPolicy, state: State, report: CallReport, now: float) -> State:
    return state._replace(failures=0)


def _close(policy: BreakerPolicy, state: State, report: CallReport, now: float) -> State:
    return _enter(state, CircuitStatus.CLOSED)


def _return_probe(policy: BreakerPolicy, state: State, report: CallReport, now: float) -> State:
    return state._replace(probes_out=state.probes_out - 1)


def _stay(policy: BreakerPolicy, state: State, report: CallReport, now: float) -> State:
    return state


TRANSITIONS: Mapping[tuple[CircuitStatus, Result], Callable[[BreakerPolicy, State, CallReport, float], State]] = {
    (CircuitStatus.CLOSED, Result.SUCCEEDED): _forget,
    (CircuitStatus.CLOSED, Result.FAILED): _count,
    (CircuitStatus.CLOSED, Result.ABANDONED): _stay,
    # An open circuit admits nothing, so no call of this generation can end.
    (CircuitStatus.OPEN, Result.SUCCEEDED): _stay,
    (CircuitStatus.OPEN, Result.FAILED): _stay,
    (CircuitStatus.OPEN, Result.ABANDONED): _stay,
    (CircuitStatus.HALF_OPEN, Result.SUCCEEDED): _close,
    (CircuitStatus.HALF_OPEN, Result.FAILED): _open,
    (CircuitStatus.HALF_OPEN, Result.ABANDONED): _return_probe,
}
