"""Keeps workers running: a worker that ends is restarted under the same instance id, as Kubernetes would."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import orjson

from nightdesk.local.child import dying_with_this_process
from nightdesk.local.parts import python_module
from tests.streams.fault_injection.worker import Orders

POLL_S = 0.05
ROOT = Path(__file__).parents[3]


class RestartedWorker:
    """One worker. `exits` are the statuses after which it was restarted."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.exits: list[int] = []
        self._log = orders.journal.with_suffix(".log")
        self._process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """It ends with the thread that started it, so that no killed test leaves one behind that tries for ever."""
        module = python_module("tests.streams.fault_injection.worker", self.orders.model_dump_json())
        command = dying_with_this_process(module)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=os.environ)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def ended(self) -> int | None:
        """The exit status, negative for a signal; None while the worker runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self._process.kill()
        self.wait(10.0)

    def wait(self, within_s: float) -> int | None:
        """The exit status, negative for a signal; None if it still runs when the time is over."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    def keep(self) -> None:
        """Restart it if it has ended."""
        status = self._process.poll()
        if status is not None:
            self.exits.append(status)
            self.start()

    def replace(self, **changes: object) -> None:
        """Start again with other orders. The earlier process has ended."""
        self.orders = self.orders.model_copy(update=changes)
        self.start()

    def journal(self, kind: str) -> list[dict[str, object]]:
        """The lines that it wrote, in order."""
        if not self.orders.journal.exists():
            return []
        lines = [orjson.loads(line) for line in self.orders.journal.read_bytes().splitlines()]
        return [line for line in lines if line["kind"] == kind]

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


class Keeper:
    """A context manager: inside it every worker that ends is restarted; after it none runs."""

    def __init__(self, workers: list[Orders]) -> None:
        self._orders = workers
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self.workers: list[RestartedWorker] = []

    def __enter__(self) -> "Keeper":
        self.workers = [RestartedWorker(orders) for orders in self._orders]
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()
        for worker in self.workers:
            if worker.running:
                worker.kill()

    def _keep(self) -> None:
        while not self._stopped.wait(POLL_S):
            for worker in self.workers:
                worker.keep()
