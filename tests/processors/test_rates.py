"""A sliding log against the obvious reference: count what was admitted in the last window."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from processors.charter.quantities import Rate
from processors.rates import Window, admit, next_slot

RATE = Rate(count=3, per_seconds=10)


@given(st.lists(st.floats(0.01, 8.0), max_size=60))
def test_never_more_than_the_count_in_any_window(pauses: list[float]) -> None:
    window: Window = ()
    now = 1000.0
    admitted_at: list[float] = []
    for number, pause in enumerate(pauses):
        now += pause
        verdict = admit(window, RATE, str(number), now)
        room = sum(at + RATE.per_seconds > now for at in admitted_at) < RATE.count
        assert verdict.ok == room
        if verdict.ok:
            admitted_at.append(now)
        else:
            assert verdict.retry_at > now
            assert admit(verdict.window, RATE, "later", verdict.retry_at).ok
        window = verdict.window


def test_the_same_cause_is_admitted_once() -> None:
    first = admit((), RATE, "case", 1.0)
    again = admit(first.window, RATE, "case", 2.0)
    assert again.ok
    assert again.window is first.window
    assert len(again.window) == 1


class Slots(RuleBasedStateMachine):
    """Leave is asked for at any time, in heaps or one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000
        self.slots: list[float] = []

    @rule(seconds=st.integers(0, 25))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(times=st.integers(1, 8))
    def ask(self, times: int) -> None:
        for _ in range(times):
            slot = next_slot(self.slots, RATE, self.now)
            assert slot == _earliest(self.slots, self.now)
            self.slots.append(slot)

    @invariant()
    def no_period_has_more_than_the_count(self) -> None:
        for start in self.slots:
            assert sum(start <= slot < start + RATE.per_seconds for slot in self.slots) <= RATE.count

    @invariant()
    def a_token_bucket_of_that_size_would_have_let_them_through(self) -> None:
        tokens, at = float(RATE.count), 0.0
        for slot in self.slots:
            tokens = min(RATE.count, tokens + (slot - at) * RATE.count / RATE.per_seconds) - 1
            at = slot
            assert tokens > -1e-9


def _earliest(slots: list[float], now: float) -> float:
    """The first second, nobody overtaken, whose period up to it is not full."""
    second = max([now, *slots])
    while sum(second - RATE.per_seconds < slot <= second for slot in slots) >= RATE.count:
        second += 1
    return second


TestSlots = Slots.TestCase
