"""The identity of a stage process: its configured instance id, and a token that no other process has."""

import os
import socket
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nightdesk.schemas.program import program_version
from nightdesk.schemas.records import WorkerReport, WorkerState
from nightdesk.streams.api import system_clock


def _pid_space() -> str:
    """This boot of the kernel and the container's process namespace; empty without /proc."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot_id}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Identity:
    """One process. `token` is unique to it; another process may have the same instance id. Two processes with the same
    `pid_space` see each other's `pid`.
    """

    stage: str
    instance_id: str
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    pid_space: str = field(default_factory=_pid_space)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_at: datetime = field(default_factory=system_clock)
    program_version: str = field(default_factory=program_version)

    @property
    def key(self) -> str:
        """Its key on `workers`."""
        return f"{self.stage}/{self.instance_id}"

    def report(self, state: WorkerState, now: datetime) -> WorkerReport:
        """A report with identity and state, without orders."""
        return WorkerReport(
            key=self.key,
            stage=self.stage,
            instance_id=self.instance_id,
            token=self.token,
            host=self.host,
            pid=self.pid,
            pid_space=self.pid_space,
            state=state,
            started_at=self.started_at,
            time=now,
            program_version=self.program_version,
        )
