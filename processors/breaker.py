"""The circuit breaker: stop asking who does not answer, and find out cheaply when it answers again.

`streams/stages/circuits.py` keeps one `State` for each model provider and each system that actions call, and asks
`admit` and `record` around each call. Pure: `now` is seconds of any clock that does not go back. Failures count in a
row, so a system that answers every other call stays in use.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    CLOSED = "closed"  # asked as usual
    OPEN = "open"  # not asked
    HALF_OPEN = "half_open"  # asked by a few, to find out


class Result(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABANDONED = "abandoned"  # cancelled or never sent: says nothing about the provider


class Policy(NamedTuple):
    """Open after so many failures in a row; ask again after `open_seconds`, with so many calls at once."""

    failures_to_open: int = 5
    open_seconds: float = 15.0
    probes: int = 1


class State(NamedTuple):
    """`generation` counts status changes: what was asked before one says nothing after it."""

    status: Status = Status.CLOSED
    generation: int = 0
    failures: int = 0
    open_until: float = 0.0
    probes_out: int = 0


class Report(NamedTuple):
    """How an admitted call ended; `retry_after_seconds` as the provider asked."""

    generation: int
    result: Result
    retry_after_seconds: float = 0.0


def admit(policy: Policy, state: State, now: float) -> tuple[State, int | None]:
    """Whether a call may go out: the new state, and the generation to report back with, or None when it may not.

    Each admitted call must be reported once, also when it was cancelled: a probe that never reports blocks the next.
    """
    if state.status is Status.OPEN and now >= state.open_until:
        state = _enter(state, Status.HALF_OPEN)
    if state.status is Status.OPEN or (state.status is Status.HALF_OPEN and state.probes_out >= policy.probes):
        return state, None
    if state.status is Status.HALF_OPEN:
        state = state._replace(probes_out=state.probes_out + 1)
    return state, state.generation


def record(policy: Policy, state: State, report: Report, now: float) -> State:
    """The state after a call ended. A report of an earlier generation changes nothing."""
    if report.generation != state.generation:
        return state
    return TRANSITIONS[state.status, report.result](policy, state, report, now)


def _enter(state: State, status: Status, open_until: float = 0.0) -> State:
    return State(status, state.generation + 1, open_until=open_until)


def _open(policy: Policy, state: State, report: Report, now: float) -> State:
    return _enter(state, Status.OPEN, now + max(policy.open_seconds, report.retry_after_seconds))


def _count(policy: Policy, state: State, report: Report, now: float) -> State:
    if state.failures + 1 >= policy.failures_to_open:
        return _open(policy, state, report, now)
    return state._replace(failures=state.failures + 1)


def _forget(policy: Policy, state: State, report: Report, now: float) -> State:
    return state._replace(failures=0)


def _close(policy: Policy, state: State, report: Report, now: float) -> State:
    return _enter(state, Status.CLOSED)


def _return_probe(policy: Policy, state: State, report: Report, now: float) -> State:
    return state._replace(probes_out=state.probes_out - 1)


def _stay(policy: Policy, state: State, report: Report, now: float) -> State:
    return state


TRANSITIONS: Mapping[tuple[Status, Result], Callable[[Policy, State, Report, float], State]] = {
    (Status.CLOSED, Result.SUCCEEDED): _forget,
    (Status.CLOSED, Result.FAILED): _count,
    (Status.CLOSED, Result.ABANDONED): _stay,
    # Nothing is admitted while open, so nothing of this generation can end.
    (Status.OPEN, Result.SUCCEEDED): _stay,
    (Status.OPEN, Result.FAILED): _stay,
    (Status.OPEN, Result.ABANDONED): _stay,
    (Status.HALF_OPEN, Result.SUCCEEDED): _close,
    (Status.HALF_OPEN, Result.FAILED): _open,
    (Status.HALF_OPEN, Result.ABANDONED): _return_probe,
}
