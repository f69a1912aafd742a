"""One child process with its log file. Used by `nightdesk.local.supervisor` alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from nightdesk.local import leash
from nightdesk.local.parts import Part

TAIL_BYTES = 4000
LARGEST_OLD_LOG_BYTES = 20_000_000


@dataclass(slots=True)
class Child:
    """A part that was started. `deaths` are the times (monotonic seconds) at which it died by itself."""

    part: Part
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list)
    restart_at: float | None = None

    def start(self) -> None:
        """On a leash and in a process group of its own, so that a terminal's Ctrl-C reaches only the supervisor.

        Not in a session of its own: Linux shares processor time among sessions first, and niceness would mean nothing.
        """
        self.restart_at = None
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGEST_OLD_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old.log"))
        leashed = (sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), str(self.part.niceness))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*leashed, *self.part.command],
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

    def ask_to_stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def wait_or_kill(self, timeout_s: float) -> None:
        """Wait for the end, and after `timeout_s` kill it and whatever it started."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log_tail(self, lines: int = 12) -> str:
        """The last lines that it wrote."""
        try:
            content = self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(content.splitlines()[-lines:])
