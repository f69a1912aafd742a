"""The running calls of a process, so that the result of each can be reported after an order to stop.

The stages record each call here, and `worker_reports.py` reads them when an order is applied. All of it runs on the
loop.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from nightdesk.streams.runtime.process.boottime import boottime_s

Fate = Literal["open", "done", "failed", "unknown", "cancelled"]
# A thread reads an order and the loop sees it a moment later, so calls that finished in between are remembered.
ENDED_KEPT = 1000


@dataclass(slots=True)
class CallUnderWay:
    """`call_id` is the step's id, or names the question to a model. `fate` is `open` until the call ends."""

    call_id: str
    agent: str
    is_sent: bool = False
    fate: Fate = "open"
    ended_at_s: float = 0.0

    def sends(self) -> None:
        """Call it before sending. From then on the call may happen, so that without an answer it is unknown and not
        cancelled.
        """
        self.is_sent = True


class CallsUnderWay:
    """The calls of one process, in the order in which they started."""

    def __init__(self) -> None:
        self._open: dict[int, CallUnderWay] = {}
        self._ended: deque[CallUnderWay] = deque(maxlen=ENDED_KEPT)

    @contextmanager
    def begin(self, call_id: str, agent: str) -> Iterator[CallUnderWay]:
        """A call for the block, which sets its fate; a call that the block leaves open is cancelled, or unknown if it
        was sent.
        """
        call = CallUnderWay(call_id, agent)
        self._open[id(call)] = call
        try:
            yield call
        finally:
            if call.fate == "open":
                call.fate = "unknown" if call.is_sent else "cancelled"
            call.ended_at_s = boottime_s()
            del self._open[id(call)]
            self._ended.append(call)

    def at(self, moment_s: float, agent: str) -> list[CallUnderWay]:
        """The calls of the agent (`*`: of all) that were running a moment ago; their fates are updated as they end."""
        lately = [call for call in self._ended if call.ended_at_s >= moment_s]
        return [call for call in (*lately, *self._open.values()) if agent in ("*", call.agent)]
