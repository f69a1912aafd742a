"""One child process with its log file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nightdesk.local import parent_death
from nightdesk.local.parts import Part

TAIL_BYTES = 4000
LARGEST_LOG_BYTES = 20_000_000


def dying_with_this_process(command: Sequence[str], niceness: int = 0) -> tuple[str, ...]:
    """`command` as a child that Linux kills when the thread that started it ends, even by a kill -9 of the process."""
    return (sys.executable, "-I", "-S", parent_death.__file__, str(os.getpid()), str(niceness), *command)


@dataclass(slots=True)
class Child:
    """A started part. Times are monotonic seconds.

    `deaths` are the times of its unexpected exits, `answered_at` is when it last answered, `unanswered` counts checks
    since.
    """

    part: Part
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list)
    restart_at: float | None = None
    answered_at: float = 0.0
    unanswered: int = 0
    has_answered: bool = False

    def start(self, now: float = 0.0) -> None:
        """Start it in its own process group, so that a terminal's Ctrl-C reaches only the supervisor. It dies with this
        process.

        Not in its own session, because Linux divides processor time among sessions first, and niceness would have no
        effect.
        """
        self.restart_at = None
        self.answered_at, self.unanswered, self.has_answered = now, 0, False
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.bound_log()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                dying_with_this_process(self.part.command, self.part.niceness),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment | dict(self.part.environment),
                process_group=0,
            )

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return None if self.process is None else self.process.poll()

    @property
    def how_it_ended(self) -> str:
        status = self.exit_status
        if status is None:
            return "is running"
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"

    def ask(self, now: float) -> None:
        """Check whether it answers; a process may run and hang."""
        if self.part.is_alive is None or self.part.is_alive():
            self.answered_at, self.unanswered, self.has_answered = now, 0, True
        else:
            self.unanswered += 1

    def kill(self) -> None:
        """Kill it and its children at once."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def bound_log(self) -> None:
        """Move the log written so far to `.old.log` if it is large: the two have the last 20 to 40 MB.

        The log is copied and truncated, not renamed, because the child appends to the open file.
        """
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG_BYTES:
            shutil.copyfile(self.log, self.log.with_suffix(".old.log"))
            os.truncate(self.log, 0)

    def ask_to_stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def wait_or_kill(self, timeout_s: float) -> None:
        """Wait for the exit; after `timeout_s` kill it and its children."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of its log."""
        try:
            content = self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(content.splitlines()[-lines:])
