"""Many open pages cost as much as one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from nightdesk.console.recent import Recent


def test_an_answer_is_kept_for_a_while_and_a_failure_is_not() -> None:
    now, asked = [0.0], list[int]()
    recent = Recent[int](5.0, clock=lambda: now[0])

    def ask() -> int:
        asked.append(len(asked))
        if len(asked) == 2:
            raise ValueError
        return asked[-1]

    assert (recent.get(ask), recent.get(ask)) == (0, 0)
    now[0] = 5.0
    with pytest.raises(ValueError):
        recent.get(ask)
    assert recent.get(ask) == 2
    assert len(asked) == 3


def test_those_who_ask_meanwhile_wait_for_the_same_answer() -> None:
    begun, goes_on, asked = Event(), Event(), list[int]()
    recent = Recent[int](5.0)

    def ask() -> int:
        begun.set()
        assert goes_on.wait(60)
        asked.append(1)
        return len(asked)

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(recent.get, ask) for _ in range(8)]
        assert begun.wait(60)
        goes_on.set()
        assert [answer.result() for answer in answers] == [1] * 8
