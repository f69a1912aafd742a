"""`make bench-state`: what a stage with its tables on disk costs when it remembers many facts.

One run, on a stack of its own: events/s of the ingest stage with empty tables; then its table `seen` gets facts
straight into the changelog, and a worker restores them from there, starts again from its local store, and takes as
many events as before. The last line has the figures; docs/scaling.md explains them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import psutil
import typer
from confluent_kafka import Producer

from benchmarks import flat
from benchmarks.events import EventSender, Load
from benchmarks.pipeline import CHARTERS, tell
from nightdesk.local.child import dying_with_this_process
from nightdesk.local.parts import LOOPBACK, answers_http, python_module
from nightdesk.local.ports import claim_port
from nightdesk.local.stack import LocalStack
from nightdesk.messaging.changelog import ENVELOPE
from nightdesk.messaging.failures import Failure
from nightdesk.messaging.naming import group_id
from nightdesk.operations.charters import load_charter
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.stage_status import stage_status
from nightdesk.operations.topics import apply_topics
from nightdesk.schemas.ids import composite_key
from nightdesk.settings import Settings

STAGE, TABLE, PREFIX = "ingest", "seen", "state."
LOOK_S, SAMPLE_S = 0.05, 0.5
READY_WITHIN_S, DONE_WITHIN_S = 3_600.0, 600.0
# What ingest stores for an event that one agent took.
FACT = (
    b'{"place":"1:%d","at":"2026-01-01T00:00:00+00:00","offers":{"keyword":{"version":"fd629fc2e6cf4541",'
    b'"place":"1:%d","at":"2026-01-01T00:00:00+00:00","result":"admitted","first_at":null}}}'
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    facts: int
    events: int
    rounds: int
    in_memory: bool


@dataclass
class Worker:
    """One worker of ingest, with its tables in `folder`."""

    stack: LocalStack
    settings: Settings
    folder: Path
    on_disk: bool = True
    peak_bytes: int = 0
    ready_s: float = 0.0
    _process: subprocess.Popen[bytes] | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the process, and wait until it is ready."""
        port = claim_port(0, "")
        environment = {
            **self.stack.environment(),
            "NIGHTDESK_KAFKA__TOPIC_PREFIX": PREFIX,
            "NIGHTDESK_KAFKA__PARTITIONS": str(self.settings.kafka.partitions),
            "NIGHTDESK_WORKER__INSTANCE_ID": "bench-0",
            "NIGHTDESK_WORKER__METRICS_PORT": str(port),
            "NIGHTDESK_WORKER__METRICS_HOST": LOOPBACK,
        }
        if self.on_disk:
            environment["NIGHTDESK_WORKER__STATE_DIR"] = str(self.folder)
        began = time.monotonic()
        command = dying_with_this_process(python_module("nightdesk", "worker", STAGE))
        with (self.folder.parent / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        threading.Thread(target=self._sample, args=(psutil.Process(self._process.pid),), daemon=True).start()
        is_ready = answers_http(f"http://{LOOPBACK}:{port}/readyz")
        wait_until(is_ready, READY_WITHIN_S, self.check)
        self.ready_s = time.monotonic() - began

    def check(self) -> None:
        """Raises `Failure` if the process has ended."""
        assert self._process is not None, "it was started"
        if self._process.poll() is not None:
            log = (self.folder.parent / "worker.log").read_text().splitlines()[-5:]
            raise Failure(f"the worker exited with {self._process.returncode}: {' / '.join(log)}")

    def processor_s(self) -> float:
        """The processor time that the worker has used."""
        assert self._process is not None, "it was started"
        processes = psutil.Process(self._process.pid)
        used = [one.cpu_times() for one in (processes, *processes.children(recursive=True))]
        return sum(one.user + one.system for one in used)

    def stop(self) -> None:
        """As Kubernetes stops it."""
        assert self._process is not None, "it was started"
        self._over.set()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def _sample(self, process: psutil.Process) -> None:
        while not self._over.wait(SAMPLE_S):
            try:
                resident = sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
            except psutil.NoSuchProcess:
                return
            self.peak_bytes = max(self.peak_bytes, resident)


def wait_until(done: Callable[[], bool], within_s: float, check: Callable[[], None]) -> None:
    """Wait. Raises `Failure` if the time is over."""
    until = time.monotonic() + within_s
    while not done():
        check()
        if time.monotonic() > until:
            raise Failure(f"not done within {within_s:.0f} s")
        time.sleep(LOOK_S)


@contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one measurement: wall time, and the worker's processor time, which other work on the machine changes less."""

    events_per_s: float
    processor_us: float


def take_events(worker: Worker, source: str, count: int) -> Speed:
    """How fast the worker takes events that lie there: from the first one sent to the last one committed."""
    sender = EventSender(worker.settings)
    encoded = sender.encode(Load(source, "message.received", count, max(1, count // 4)))
    began, used = time.monotonic(), worker.processor_s()
    sender.send(encoded)
    wait_until(lambda: stage_status(worker.settings.kafka)[STAGE].lag == 0, DONE_WITHIN_S, worker.check)
    return Speed(count / (time.monotonic() - began), (worker.processor_s() - used) / count * 1e6)


def remember(settings: Settings, facts: int) -> None:
    """Put facts into the changelog of `seen`, as workers would have, each for a week."""
    producer = Producer({**settings.kafka.client_config(), "linger.ms": 20, "compression.type": "lz4"})
    topic, expires_at = f"{group_id(PREFIX, STAGE)}-{TABLE}-changelog", time.time() + 7 * 86_400
    head, partitions = ENVELOPE.pack(1, expires_at), settings.kafka.partitions
    for number in range(facts):
        key = composite_key("bench", f"event-{number}", f"subject-{number % 100_000}").encode()
        value = head + FACT % (number, number)
        while True:
            try:
                producer.produce(topic, key=key, value=value, partition=number % partitions)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(120):
        raise Failure("the facts were not delivered")


def main(
    facts: Annotated[int, typer.Option(min=1, help="facts that the stage remembers")] = 10_000_000,
    events: Annotated[int, typer.Option(min=1, help="events for each measurement of the speed")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, help="measurements of the speed; their median counts")] = 3,
    in_memory: Annotated[bool, typer.Option(help="start a worker with its tables in memory, too")] = False,
) -> None:
    """Print what was measured; the last line sums it up."""
    with tempfile.TemporaryDirectory(prefix="nightdesk-state-") as home, LocalStack.on_free_ports(Path(home)) as stack:
        kafka = stack.settings.kafka.model_copy(update={"topic_prefix": PREFIX})
        settings = stack.settings.model_copy(update={"kafka": kafka})
        apply_topics(settings.kafka)
        register_schemas(settings)
        give_orders(settings, charter_orders([load_charter(CHARTERS[0])]))
        _measure(stack, settings, Path(home), Size(facts, events, rounds, in_memory))


def _measure(stack: LocalStack, settings: Settings, home: Path, size: Size) -> None:
    def speed(worker: Worker, name: str) -> Speed:
        taken = [take_events(worker, f"{name}-{number}", size.events) for number in range(size.rounds)]
        return Speed(median(one.events_per_s for one in taken), median(one.processor_us for one in taken))

    tell("empty tables")
    with running(Worker(stack, settings, home / "empty")) as worker:
        empty = speed(worker, "empty")
    tell(f"writing {size.facts:,} facts to the changelog")
    remember(settings, size.facts)
    tell("restoring them")
    with running(Worker(stack, settings, home / "full")) as worker:
        restore_s, restoring = worker.ready_s, worker.peak_bytes
    disk = sum(file.stat().st_blocks * 512 for file in (home / "full").rglob("*") if file.is_file())
    tell("starting from the local store")
    with running(Worker(stack, settings, home / "full")) as worker:
        full = speed(worker, "full")
        ready_s, resident = worker.ready_s, worker.peak_bytes
    if size.in_memory:
        with running(Worker(stack, settings, home / "none", on_disk=False)) as worker:
            print(f"in memory: rss {worker.peak_bytes / 2**20:.0f} MB, ready {worker.ready_s:.1f} s")
    for what, at in (("empty tables", empty), (f"{size.facts:,} facts", full)):
        print(f"{what}: {at.events_per_s:.0f} events/s, {at.processor_us:.0f} us of processor time for each event")
    print(f"resident: {restoring / 2**20:.0f} MB while it restores, {resident / 2**20:.0f} MB at work")
    print(f"disk: {disk / size.facts:.0f} bytes for each fact")
    for others in (100, 20_000):
        admission, settlement = flat.per_subject(others), flat.settle(others)
        print(
            f"{others:,} in the period: an admission {admission.microseconds:.1f} us and {admission.written_bytes}"
            f" bytes, a settlement {settlement.microseconds:.1f} us"
        )
    ratio, rss = full.events_per_s / empty.events_per_s, max(restoring, resident) / 2**20
    print(f"state: ratio {ratio:.2f}, rss {rss:.0f} MB, ready {ready_s:.1f} s, restore {restore_s:.1f} s")


if __name__ == "__main__":
    os.environ.setdefault("NIGHTDESK_LOG__LEVEL", "info")
    typer.run(main)
