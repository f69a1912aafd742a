"""Starts parts in order, restarts those that exit or hang, and stops all of them.

It has no thread: its user calls `check` repeatedly. On Linux a child's death signal is bound to the thread that started
it, so a supervisor stays in one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nightdesk.local.child import Child
from nightdesk.local.parts import Part
from nightdesk.local.progress import Report
from nightdesk.messaging.failures import Failure, FailureKind

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """A part that exits is restarted after `first_pause_s`, doubled for each exit in the last minute.

    Every `ask_every_s` each part is checked. A part that answered none of at least `least_questions` checks in
    `hangs_after_s` hangs and is killed. The count matters if this process itself did not run for a while.
    """

    most_deaths_a_minute: int = 5
    first_pause_s: float = 0.5
    ask_every_s: float = 5.0
    hangs_after_s: float = 30.0
    least_questions: int = 3

    def pause_s(self, recent_deaths: int) -> float:
        return self.first_pause_s * float(2 ** (recent_deaths - 1))


class Supervisor:
    """The children of this process. A context manager: leaving it stops them all."""

    def __init__(
        self,
        logs: Path,
        environment: dict[str, str],
        report: Report,
        policy: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logs = logs
        self._environment = environment
        self._report = report
        self._policy = policy or RestartPolicy()
        self._clock = clock
        self._asked_at = clock()
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self, *parts: Part) -> None:
        """Start the parts together and return once all are ready. Otherwise raises `Failure` with
        the end of the log.
        """
        children = [Child(part, self._logs / f"{part.name}.log", self._environment) for part in parts]
        self.children.extend(children)
        for child in children:
            child.start(self._clock())
        for child in children:
            self._await_ready(child)
            self._report.show(f"{child.part.name:<11} {child.part.where:<46} log: {child.log}")

    def check(self) -> None:
        """Restart exited or hanging parts. Raises `Failure` if a part fails repeatedly.

        It waits only for the answers of parts, each a second or two, every few seconds.
        """
        now = self._clock()
        if now - self._asked_at >= self._policy.ask_every_s:
            self._ask_all(now)
        for child in self.children:
            if child.restart_at is not None:
                if now >= child.restart_at:
                    child.start(now)
                    self._report.show(f"{child.part.name} started again")
            elif child.exit_status is not None:
                self._died(child, now)

    def wait(self, done: Callable[[], bool], poll_s: float = 0.2) -> None:
        """Return when `done()` is true; until then keep everything running."""
        while not done():
            self.check()
            time.sleep(poll_s)

    def stop(self) -> None:
        """Tell each wave of children to stop, the highest first, and kill those that do not."""
        for wave in sorted({child.part.wave for child in self.children}, reverse=True):
            children = [child for child in self.children if child.part.wave == wave]
            asked_at = self._clock()
            for child in children:
                child.ask_to_stop()
            for child in sorted(children, key=lambda child: child.part.grace_s):
                child.wait_or_kill(max(0.0, asked_at + child.part.grace_s - self._clock()))
        self.children.clear()

    def _ask_all(self, now: float) -> None:
        for child in self.children:
            if child.restart_at is None and child.exit_status is None:
                child.ask(now)
                child.bound_log()
                self._kill_if_it_hangs(child, now)
        self._asked_at = self._clock()

    def _kill_if_it_hangs(self, child: Child, now: float) -> None:
        policy, silent_s = self._policy, now - child.answered_at
        allowed_s = policy.hangs_after_s if child.has_answered else max(policy.hangs_after_s, child.part.ready_within_s)
        if child.unanswered >= policy.least_questions and silent_s >= allowed_s:
            self._report.show(f"{child.part.name} runs and has not answered for {silent_s:.0f} s: it hangs")
            child.kill()

    def _await_ready(self, child: Child) -> None:
        deadline = self._clock() + child.part.ready_within_s
        while not child.part.is_ready():
            if child.exit_status is not None:
                raise self._failure(child, child.how_it_ended)
            if self._clock() > deadline:
                raise self._failure(child, f"was not ready after {child.part.ready_within_s:.0f} s")
            time.sleep(POLL_S)

    def _died(self, child: Child, now: float) -> None:
        child.deaths = [death for death in child.deaths if now - death < 60] + [now]
        if len(child.deaths) > self._policy.most_deaths_a_minute:
            raise self._failure(child, f"{child.how_it_ended}, {len(child.deaths)} times within a minute")
        pause_s = self._policy.pause_s(len(child.deaths))
        child.restart_at = now + pause_s
        self._report.show(f"{child.part.name} {child.how_it_ended}, starting it again in {pause_s:.1f} s")

    def _failure(self, child: Child, what: str) -> Failure:
        message = f"{child.part.name} {what}. The end of {child.log}:\n{child.log_tail()}\n"
        return Failure(message, f"See {child.log}", FailureKind.NOT_READY)
