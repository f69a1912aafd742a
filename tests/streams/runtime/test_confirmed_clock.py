"""A clock that is wrong, for a moment or from the beginning, deletes nothing."""

from types import SimpleNamespace
from typing import Any

import pytest

from nightdesk.streams.runtime.process.confirmed_clock import AGREES_WITHIN_S, ConfirmedClock
from nightdesk.streams.runtime.stage_worker import StageWorker

DAY_S = 86_400.0


class Machine:
    """Its two clocks, and the broker's, which is right."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.steady_s, self.ahead_s = 500.0, ahead_s
        self.clock = ConfirmedClock(self.wall_s, lambda: self.steady_s)

    def broker_s(self) -> float:
        return 1_800_000_000.0 + self.steady_s

    def wall_s(self) -> float:
        return self.broker_s() + self.ahead_s

    def report(self, late_s: float = 0.0) -> None:
        """A report that the broker stamps; the delivery is known that much later."""
        lead_s, offset_s = self.clock.lead_s(), self.broker_s() - self.wall_s()
        self.steady_s += late_s
        self.clock.compared(lead_s, offset_s)


@pytest.mark.parametrize("ahead_s", [AGREES_WITHIN_S + 1, 3600, 8 * DAY_S, 400 * DAY_S, -31 * DAY_S])
def test_a_clock_that_steps_is_not_believed_until_it_is_right_again(ahead_s: float) -> None:
    machine = Machine()
    machine.report()
    machine.ahead_s = ahead_s
    assert not machine.clock.may_expire(), "before the next comparison"
    machine.report(late_s=3.0)
    assert not machine.clock.may_expire(), "nor when the broker has said so"
    machine.ahead_s = 0.0
    assert machine.clock.may_expire()


def test_a_process_that_starts_with_a_wrong_clock_deletes_nothing_until_it_is_set() -> None:
    machine = Machine(ahead_s=31 * DAY_S)
    machine.report()
    assert not machine.clock.may_expire()
    machine.ahead_s = 1.0
    machine.report()
    assert machine.clock.may_expire()


def test_a_machine_that_was_suspended_or_hears_no_broker_is_believed() -> None:
    machine = Machine()
    assert machine.clock.may_expire(), "its broker may stamp no reports"
    machine.report()
    machine.steady_s += 3 * DAY_S  # both clocks count it
    assert machine.clock.may_expire()


@pytest.mark.parametrize("may_expire", [False, True])
def test_a_worker_whose_clock_is_not_confirmed_ticks_and_lets_nothing_expire(may_expire: bool) -> None:
    released: list[int] = []
    advanced: list[bool] = []
    worker: Any = SimpleNamespace(
        _ownership=SimpleNamespace(recovered=lambda: [3]),
        _policy=SimpleNamespace(confirmed_clock=SimpleNamespace(may_expire=lambda: may_expire)),
        _dispatcher=SimpleNamespace(release_expired=released.append),
        _guard=SimpleNamespace(writes=lambda _partition: SimpleNamespace(puts=[], messages=[])),
        _stage=SimpleNamespace(advance=lambda _partition, _writes, may_expire: advanced.append(may_expire)),
    )
    StageWorker._tick(worker)
    assert (released, advanced) == ([3] if may_expire else [], [may_expire])
