"""Runs orders about many dead letters in the background, and keeps the progress of each in memory. If the console ends
in the middle of one, the letters that it has not reached stay open.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from nightdesk.messaging.failures import Failure
from nightdesk.operations.dead_letters.handling import EndedLetters
from nightdesk.operations.progress import Advance, Begin

log = logging.getLogger(__name__)

KEPT_AT_MOST = 100
ID_BYTES = 8


@dataclass(slots=True)
class Run:
    """One order. `problem` says why it ended before all was done."""

    id_: str
    person: str
    verdict: str
    filter_name: str
    total: int = 0
    done: int = 0
    problem: str = ""
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it is over within this time."""
        return self._over.wait(seconds)

    def carry_out(self, order: Callable[[Begin], EndedLetters]) -> None:
        """Carry out the order, and keep how it ended."""
        try:
            ended = order(self._begin)
            self.done = ended.ended.done
            ended.check_none_gone()
        except Failure as failure:
            self.problem = failure.message
        finally:
            self._over.set()

    def _begin(self, _what: str, total: int) -> Advance:
        self.total = total
        return self._advance

    def _advance(self, done: int) -> None:
        self.done += done


@dataclass(slots=True)
class Runs:
    """The last orders, the oldest first."""

    _known: OrderedDict[str, Run] = field(default_factory=OrderedDict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def start(self, run: Run, order: Callable[[Begin], EndedLetters]) -> None:
        """Begin to carry out the order."""
        with self._changing:
            self._known[run.id_] = run
            while len(self._known) > KEPT_AT_MOST:
                self._known.popitem(last=False)
        log.info("%s is %s the dead letters of the filter %s", run.person, run.verdict, run.filter_name)
        threading.Thread(target=run.carry_out, args=(order,), name=f"letters-{run.id_}").start()

    def of(self, id_: str) -> Run | None:
        return self._known.get(id_)


def new_id() -> str:
    return secrets.token_hex(ID_BYTES)
