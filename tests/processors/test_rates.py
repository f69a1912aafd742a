"""A sliding window compared with the obvious reference: count what was admitted in the last period."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nightdesk.processors.quantities import Rate
from nightdesk.processors.rates import Admission, AdmissionLog, Slot, SlotLog, slots_as_of

RATE = Rate(count=3, per_seconds=10)


class Logs(RuleBasedStateMachine):
    """A log against its plain definition: a list of all times, and a count over the last period. The clock jumps, and
    the rate changes as a charter's may.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000
        self.log = AdmissionLog()
        self.plain: list[Admission] = []

    @rule(seconds=st.integers(0, 8))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(seconds=st.integers(-40, 40))
    def jump(self, seconds: int) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 6))
    def ask(self, count: int) -> None:
        rate = RATE.model_copy(update={"count": count})
        changed = self.log.set_back(self.now)
        assert sorted(changed) == sorted(
            Admission(self.now, admission.cause) for admission in self.plain if admission.at > self.now
        )
        self.plain = [Admission(min(admission.at, self.now), admission.cause) for admission in self.plain]
        # What is over is forgotten for good, also if the clock goes back.
        self.plain = [admission for admission in self.plain if admission.at + rate.per_seconds > self.now]
        current = sorted(admission.at for admission in self.plain)
        room_at = self.log.room_at(rate, self.now)
        assert (room_at <= self.now) == (len(current) < count)
        if room_at > self.now:
            assert sum(at + rate.per_seconds > room_at for at in current) < count, "then there is room"
            assert sum(at + rate.per_seconds > room_at - 1 for at in current) >= count, "and not before"
            return
        admission = Admission(self.now, str(len(self.plain)))
        self.log.add(admission)
        self.plain.append(admission)

    @precondition(lambda self: self.plain)
    @rule(which=st.integers(0))
    def take_back(self, which: int) -> None:
        admission = self.plain.pop(which % len(self.plain))
        self.log.discard(admission)
        self.plain.append(Admission(self.now, admission.cause))
        self.log.add(self.plain[-1])


TestLogs = Logs.TestCase


@given(st.lists(st.floats(0.01, 8.0), max_size=60))
def test_never_more_than_the_count_in_any_window(pauses: list[float]) -> None:
    log, now = AdmissionLog(), 1000.0
    admitted_at: list[float] = []
    for pause in pauses:
        now += pause
        room_at = log.room_at(RATE, now)
        room = sum(at + RATE.per_seconds > now for at in admitted_at) < RATE.count
        assert (room_at <= now) == room
        if room:
            admitted_at.append(now)
            log.add(Admission(now))
        else:
            assert sum(at + RATE.per_seconds > room_at for at in admitted_at) < RATE.count


def test_what_is_older_than_a_period_is_forgotten() -> None:
    log = AdmissionLog(Admission(float(at)) for at in range(100))
    assert log.room_at(RATE, 200.0) == 200.0
    assert not log


class Slots(RuleBasedStateMachine):
    """Slots are requested at any time, many at once or one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000
        self.slots: list[float] = []
        self.log = SlotLog()

    @rule(seconds=st.integers(0, 25))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(times=st.integers(1, 8))
    def ask(self, times: int) -> None:
        for _ in range(times):
            slot = self.log.next_at(RATE, self.now)
            assert slot == _earliest(self.slots, self.now)
            self.log.add(Slot("", slot, self.now))
            self.slots.append(slot)

    @rule()
    def forget(self) -> None:
        self.log.forget_until(self.now - RATE.per_seconds)

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
    log, now = AdmissionLog(), 100_000.0

    def room_at() -> float:
        log.set_back(now)
        return log.room_at(RATE, now)

    for jump, pause in jumps:
        now += jump + pause
        if room_at() <= now:
            log.add(Admission(now))
        else:
            assert now < room_at() <= now + RATE.per_seconds
    if room_at() <= now:
        log.add(Admission(now))
    now += RATE.per_seconds
    assert room_at() <= now


def test_what_a_clock_that_was_ahead_let_through_counts_once_it_is_right_again() -> None:
    log = AdmissionLog(Admission(3_600.0, str(number)) for number in range(RATE.count))
    assert [admission.at for admission in log.set_back(0.0)] == [0.0, 0.0, 0.0], "and that is worth remembering"
    assert log.room_at(RATE, 0.0) == RATE.per_seconds
    assert log.set_back(0.0) == []
    assert log.room_at(RATE, float(RATE.per_seconds)) <= RATE.per_seconds


@given(JUMPS)
def test_no_clock_moves_a_slot_further_ahead_than_those_before_it_do(jumps: list[tuple[float, float]]) -> None:
    log, granted = SlotLog(), 0.0
    now = 100_000.0
    for number, (jump, pause) in enumerate(jumps):
        now += jump + pause
        at = log.next_at(RATE, now)
        assert at <= now + RATE.per_seconds * (1 + len(log) // RATE.count) + 1e-6
        assert jump < 0 or at >= granted, "in the order in which they were asked for"
        log.add(Slot(str(number), at, now))
        granted = at


def test_slots_that_a_clock_gave_an_hour_ahead_keep_their_distance() -> None:
    given_ahead = [Slot("a", 3_600.0, 3_600.0), Slot("b", 3_610.0, 3_600.0)]
    assert slots_as_of(given_ahead, 5.0) == [Slot("a", 5.0, 5.0), Slot("b", 15.0, 5.0)]
    right = [Slot("a", 3.0, 3.0), Slot("b", 13.0, 4.0)]
    assert slots_as_of(right, 5.0) == right


def test_slots_of_another_rate_far_ahead_keep_nobody_waiting() -> None:
    """As those of a charter that said `1/3650d` by mistake, or of a request that no stage of ours made."""
    years = 3650.0 * 86_400
    log = SlotLog(Slot(f"far {number}", number * years, 0.0) for number in range(1, 4))
    given = []
    for number in range(7):
        given.append(log.next_at(RATE, 0.0))
        log.add(Slot(str(number), given[-1], 0.0))
    assert given == [0.0, 0.0, 0.0, 10.0, 10.0, 10.0, 20.0]
