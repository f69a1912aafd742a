"""The place of a scenario: its broker, the journals of its workers, and the protection that is removed."""

from dataclasses import dataclass
from pathlib import Path

from nightdesk.schemas.records import Event
from tests.streams.fault_injection.broker import Broker, wait_until
from tests.streams.fault_injection.checker import check
from tests.streams.fault_injection.events import event
from tests.streams.fault_injection.keeper import RestartedWorker
from tests.streams.fault_injection.worker import Orders

# A worker needs seconds to start, and many on a busy machine.
READY_S = 90.0
# So many times the offsets were committed: what is going to be committed has been.
ROUNDS = 10
# Long, because a busy machine stands still by itself; short where a scenario waits for its end.
SESSION_TIMEOUT_S = 30.0
SHORT_SESSION_TIMEOUT_S = 8.0
# More than a worker takes to join its group and to wait before it reads its tables.
NO_PROGRESS_S = 8.0
NEVER_MS = 600_000


@dataclass(frozen=True)
class Place:
    """The place of a scenario, and the protection that is removed there, if any."""

    broker: Broker
    journals: Path
    without: str | None

    def worker(self, name: str = "w0", **orders: object) -> RestartedWorker:
        told = {
            "bootstrap_servers": self.broker.bootstrap_servers,
            "topic_prefix": self.broker.topic_prefix,
            "partitions": self.broker.partitions,
            "instance_id": name,
            "journal": self.journals / f"{name}.jsonl",
            "session_timeout_s": SESSION_TIMEOUT_S,
            "without": self.without,
        }
        return RestartedWorker(Orders.model_validate({**told, **orders}))

    def saw(self, worker: RestartedWorker, kind: str, count: int = 1) -> None:
        """Wait until the worker has written so many lines of a kind."""
        came = wait_until(lambda: len(worker.journal(kind)) >= count or not worker.running, READY_S)
        assert came, f"no {kind} in the journal after {READY_S} s: {worker.log_tail()}"

    def rounds(self, worker: RestartedWorker) -> None:
        """Wait until everything that may be committed has been."""
        self.saw(worker, "round", count=len(worker.journal("round")) + ROUNDS)

    def committed(self, offset: int) -> bool:
        return wait_until(lambda: self.broker.committed()[0] >= offset, READY_S)

    def finish(self, worker: RestartedWorker, truth: list[Event], *, sentinel: int, subject: str = "s") -> list[str]:
        """Restart the worker without faults, let it handle one more event after `truth`, and compare."""
        worker.replace(suffers=None, answers_at_once=True)
        try:
            return self.settle([worker], truth, sentinel=sentinel, subject=subject)
        finally:
            worker.kill()

    def settle(
        self, workers: list[RestartedWorker], truth: list[Event], *, sentinel: int, subject: str = "s"
    ) -> list[str]:
        """Let the workers handle one more event, which waits for earlier ones of its subject."""
        last = event(sentinel, subject)
        self.broker.produce([last])

        def reached() -> bool:
            for worker in workers:
                worker.keep()
            return any(line["id"] == last.id for worker in workers for line in worker.journal("effect"))

        came = wait_until(reached, READY_S)
        assert came, f"the last event was not reached: {workers[0].exits} {workers[0].log_tail()}"
        assert self.committed(self.broker.ends(self.broker.events)[0]), "not everything was committed"
        effects = [line for worker in workers for line in worker.journal("effect")]
        return check(self.broker, [*truth, last], effects).problems
