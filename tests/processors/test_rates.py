"""A sliding log against the obvious reference: count what was admitted in the last window."""

from hypothesis import given
from hypothesis import strategies as st

from processors.charter.quantities import Rate
from processors.rates import Window, admit

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
