"""The services that the pipeline runs on, stopped and started again. `World.service` makes them."""

import signal
import subprocess
import time

import psutil

from nightdesk.local.child import Child
from nightdesk.local.stack import LocalStack

BACK_WITHIN_S = 120.0


class Service:
    """One part of the stack. `freeze` leaves its connections open and silent, `kill` closes them."""

    def __init__(self, stack: LocalStack, name: str) -> None:
        self._child: Child = next(child for child in stack.supervisor.children if child.part.name == name)

    def freeze(self) -> None:
        """Stop the process until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9; the service is unreachable until `start`."""
        self._child.wait_or_kill(0.0)

    def start(self) -> None:
        """Start it again with its data; returns when it answers."""
        self._child.start()
        deadline = time.monotonic() + BACK_WITHIN_S
        while not self._child.part.is_ready():
            assert time.monotonic() < deadline, f"{self._child.part.name} does not come back: {self._child.log_tail()}"
            time.sleep(0.2)

    def fill_disk(self) -> None:
        """From now on none of its files can grow, as on a full disk. The process that `start` begins has room again."""
        assert self._child.process is not None
        psutil.Process(self._child.process.pid).rlimit(psutil.RLIMIT_FSIZE, (1, psutil.RLIM_INFINITY))

    def has_ended(self) -> bool:
        return self._child.exit_status is not None

    def limit_producers(self, bytes_per_s: int | None) -> None:
        """Make the broker throttle each client that writes more than this; None removes the limit. Only Kafka's own
        tool can set it.
        """
        java = list(self._child.part.command)
        quota = f"producer_byte_rate={bytes_per_s}" if bytes_per_s else "producer_byte_rate"
        what = ["--add-config" if bytes_per_s else "--delete-config", quota]
        which = [
            "--bootstrap-server",
            self._child.part.where,
            "--alter",
            "--entity-type",
            "clients",
            "--entity-default",
        ]
        command = [*java[: java.index("kafka.Kafka")], "kafka.admin.ConfigCommand", *which, *what]
        subprocess.run(command, check=True, capture_output=True, timeout=BACK_WITHIN_S)

    def _signal(self, number: signal.Signals) -> None:
        assert self._child.process is not None
        self._child.process.send_signal(number)
