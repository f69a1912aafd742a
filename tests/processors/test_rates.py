"""A sliding window compared with the obvious reference: count what was admitted in the last period."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nightdesk.processors.charter.quantities import Rate
from nightdesk.processors.rates import Admission, Slot, Window, admit, next_slot, slots_as_of

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
    """Slots are requested at any time, many at once or one by one."""

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
    """The first second, in order of arrival, at which the period before it has room."""
    second = max([now, *slots])
    while sum(second - RATE.per_seconds < slot <= second for slot in slots) >= RATE.count:
        second += 1
    return second


TestSlots = Slots.TestCase


JUMPS = st.lists(st.tuples(st.floats(-5_000, 5_000), st.floats(0, 2)), max_size=40)


@given(JUMPS)
def test_no_clock_keeps_a_subject_out_for_more_than_a_period(jumps: list[tuple[float, float]]) -> None:
    """The clock jumps back and forth while cases arrive; then it runs correctly for one period."""
    window: Window = ()
    now = 100_000.0
    for number, (jump, pause) in enumerate(jumps):
        now += jump + pause
        verdict = admit(window, RATE, str(number), now)
        window = verdict.window
        if not verdict.ok:
            assert now < verdict.retry_at <= now + RATE.per_seconds
    window = admit(window, RATE, "sees them first", now).window
    assert admit(window, RATE, "a period later", now + RATE.per_seconds).ok


def test_what_a_clock_that_was_ahead_let_through_counts_once_it_is_right_again() -> None:
    ahead: Window = tuple(Admission(str(number), 3_600.0) for number in range(RATE.count))
    refused = admit(ahead, RATE, "next", 0.0)
    assert (refused.ok, refused.retry_at) == (False, RATE.per_seconds)
    assert refused.window is not ahead, "and that is worth remembering"
    assert admit(refused.window, RATE, "next", float(RATE.per_seconds)).ok


@given(JUMPS)
def test_no_clock_moves_a_slot_further_ahead_than_those_before_it_do(jumps: list[tuple[float, float]]) -> None:
    slots: list[Slot] = []
    now = 100_000.0
    for number, (jump, pause) in enumerate(jumps):
        now += jump + pause
        slots = slots_as_of(slots, now)
        at = next_slot([slot.at for slot in slots[-RATE.count :]], RATE, now)
        assert at <= now + RATE.per_seconds * (1 + len(slots) // RATE.count) + 1e-6
        slots.append(Slot(str(number), at, now))
        assert [slot.at for slot in slots] == sorted(slot.at for slot in slots)


def test_slots_that_a_clock_gave_an_hour_ahead_keep_their_distance() -> None:
    given_ahead = [Slot("a", 3_600.0, 3_600.0), Slot("b", 3_610.0, 3_600.0)]
    assert slots_as_of(given_ahead, 5.0) == [Slot("a", 5.0, 5.0), Slot("b", 15.0, 5.0)]
    right = [Slot("a", 3.0, 3.0), Slot("b", 13.0, 4.0)]
    assert slots_as_of(right, 5.0) == right
