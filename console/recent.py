"""Keeps an answer for some seconds, so that many open pages cost as much as one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Recent(Generic[Answer]):
    """The last answer, for `keep_s` seconds. Only one caller asks; the others wait for the same answer. A failure is
    not kept.
    """

    keep_s: float
    clock: Callable[[], float] = time.monotonic
    _answer: tuple[float, Answer] | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def get(self, ask: Callable[[], Answer]) -> Answer:
        """The last answer if it is recent, otherwise a new one. Raises what `ask` raises."""
        with self._asking:
            if self._answer is None or self.clock() - self._answer[0] >= self.keep_s:
                answer = ask()
                self._answer = self.clock(), answer
            return self._answer[1]
