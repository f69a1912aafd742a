"""For each protection the moment in which it counts, made certain: nothing here is left to luck.

Called by `tests/protections/test_protections.py`. A scenario gives back what it found wrong: nothing with the whole
layer, something without the protection. All topics have one partition, so that the order of things is known.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from schemas.records import Event
from streams.runtime.fail_stop import ExitCode
from streams.runtime.tables import ENVELOPE
from tests.streams.storm.broker import Broker, wait_until
from tests.streams.storm.checker import check
from tests.streams.storm.events import event
from tests.streams.storm.keeper import Kept
from tests.streams.storm.worker import Orders

# A worker needs seconds to start, and many on a busy machine.
READY_S = 90.0
# So many times the offsets were committed: what is going to be committed has been.
ROUNDS = 10
# Long, because a busy machine stands still by itself; short where a scenario waits for its end.
SESSION_TIMEOUT_S = 30.0
SHORT_SESSION_TIMEOUT_S = 8.0
NO_PROGRESS_S = 3.0
NEVER_MS = 600_000


@dataclass(frozen=True)
class Place:
    """Where a scenario happens, and the protection that is missing there, if any."""

    broker: Broker
    journals: Path
    without: str | None

    def worker(self, name: str = "w0", **orders: object) -> Kept:
        told = {
            "bootstrap_servers": self.broker.bootstrap_servers,
            "topic_prefix": self.broker.topic_prefix,
            "partitions": self.broker.partitions,
            "instance_id": name,
            "journal": self.journals / f"{name}.jsonl",
            "session_timeout_s": SESSION_TIMEOUT_S,
            "without": self.without,
        }
        return Kept(Orders.model_validate({**told, **orders}))

    def saw(self, worker: Kept, kind: str, count: int = 1) -> None:
        """Wait until the worker has written so many lines of a kind."""
        came = wait_until(lambda: len(worker.journal(kind)) >= count or not worker.running, READY_S)
        assert came, f"no {kind} in the journal after {READY_S} s: {worker.log_tail()}"

    def rounds(self, worker: Kept) -> None:
        """Wait until whatever may be committed has been."""
        self.saw(worker, "round", count=len(worker.journal("round")) + ROUNDS)

    def committed(self, offset: int) -> bool:
        return wait_until(lambda: self.broker.committed()[0] >= offset, READY_S)

    def finish(self, worker: Kept, truth: list[Event], *, sentinel: int, subject: str = "s") -> list[str]:
        """Start the worker again in good health, let it come to one more event behind `truth`, and compare."""
        worker.replace(suffers=None, answers_at_once=True)
        try:
            return self.settle([worker], truth, sentinel=sentinel, subject=subject)
        finally:
            worker.kill()

    def settle(self, workers: list[Kept], truth: list[Event], *, sentinel: int, subject: str = "s") -> list[str]:
        """Let the workers come to one more event, which by its subject waits for those before it."""
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


def slow_head(place: Place) -> list[str]:
    """The first record is still being done, nineteen after it are finished, kill -9."""
    truth = [event(0, "s", delay_ms=NEVER_MS), *(event(number, f"other-{number}") for number in range(1, 20))]
    place.broker.produce(truth)
    worker = place.worker()
    assert wait_until(lambda: place.broker.ends(place.broker.said)[0] == 19, READY_S), worker.log_tail()
    place.rounds(worker)
    worker.kill()
    return place.finish(worker, truth, sentinel=20)


def fact_under_way(place: Place) -> list[str]:
    """The broker has not confirmed a fact, kill -9."""
    return _under_way(place, "changelog_never_delivered", event(0, "s"))


def words_under_way(place: Place) -> list[str]:
    """The broker has not confirmed what was said, kill -9."""
    return _under_way(place, "words_never_delivered", event(0, "s"))


def fact_and_words_under_way(place: Place) -> list[str]:
    """Of a record that is remembered and said at once the broker has not confirmed the fact, kill -9."""
    return _under_way(place, "changelog_never_delivered", event(0, "s", in_steps=False))


def _under_way(place: Place, suffers: str, first: Event) -> list[str]:
    place.broker.produce([first])
    worker = place.worker(suffers=suffers)
    place.saw(worker, "held")
    place.rounds(worker)
    worker.kill()
    return place.finish(worker, [first], sentinel=1)


def first_record_skipped(place: Place) -> list[str]:
    """Faust does not hand over the first record of a partition."""
    return _skipped(place, "first_record_skipped")


def second_record_skipped(place: Place) -> list[str]:
    """Faust does not hand over a record between two others."""
    return _skipped(place, "second_record_skipped")


def _skipped(place: Place, suffers: str) -> list[str]:
    truth = [event(number, "s") for number in range(3)]
    place.broker.produce(truth)
    worker = place.worker(suffers=suffers)
    assert wait_until(lambda: not worker.running or place.broker.committed()[0] == len(truth), READY_S)
    if worker.running:
        worker.kill()
    else:
        assert worker.wait(0) == ExitCode.GAP, worker.log_tail()
    return place.finish(worker, truth, sentinel=3)


def thrown_away(place: Place) -> list[str]:
    """Faust loses records that it fetched while it was not ready, and none comes later to show the gap."""
    truth = [event(number, "s") for number in range(3)]
    place.broker.produce(truth)
    worker = place.worker(suffers="fetched_and_thrown_away", no_progress_s=NO_PROGRESS_S)

    def came() -> bool:
        if worker.ended == ExitCode.GAP:
            worker.keep()
        return worker.ended is not None or len(worker.journal("effect")) >= len(truth)

    assert wait_until(came, READY_S), worker.log_tail()
    if worker.ended is None:
        worker.kill()
        return []
    assert worker.ended == ExitCode.NO_PROGRESS, worker.log_tail()
    return ["stood still until the watchdog ended it"]


def frozen(place: Place) -> list[str]:
    """A process stands still in the midst of a record, until its group has given it up, and wakes."""
    truth = [event(0, "s", delay_ms=3_000)]
    place.broker.produce(truth)
    worker = place.worker(session_timeout_s=SHORT_SESSION_TIMEOUT_S)
    place.saw(worker, "asked")
    worker.signal(signal.SIGSTOP)
    assert wait_until(lambda: place.broker.members() == 0, READY_S), "the group did not give the worker up"
    worker.signal(signal.SIGCONT)
    wait_until(lambda: not worker.running or bool(worker.journal("effect")), READY_S)
    acted = [f"acted after it woke: {line['id']}" for line in worker.journal("effect")]
    if worker.running:
        worker.kill()
    else:
        assert worker.wait(0) == ExitCode.FROZEN, worker.log_tail()
    return acted or place.finish(worker, truth, sentinel=1)


def silent(place: Place) -> list[str]:
    """The consumer hands over nothing more, and goes on saying that it is alive."""
    return _silent(place, "silent_after_the_first")


def silent_from_the_start(place: Place) -> list[str]:
    """The consumer hands over nothing from the moment that it has its partitions."""
    return _silent(place, "silent_from_the_start")


def recovery_for_ever(place: Place) -> list[str]:
    """The tables are never recovered."""
    return _silent(place, "recovery_never_ends", sign="recovering")


def recovery_stands_still(place: Place) -> list[str]:
    """The changelog has records, and none of them comes."""
    truth = [event(0, "s")]
    place.broker.produce(truth)
    worker = place.worker()
    place.saw(worker, "effect")
    place.rounds(worker)
    worker.kill()
    worker.replace(suffers="changelog_never_read", no_recovery_s=NO_PROGRESS_S)
    place.saw(worker, "recovering")
    return _ended_by_the_watchdog(worker) or place.finish(worker, truth, sentinel=1)


def _silent(place: Place, suffers: str, sign: str = "silent") -> list[str]:
    truth = [event(number, "s") for number in range(3)]
    place.broker.produce(truth)
    worker = place.worker(suffers=suffers, no_progress_s=NO_PROGRESS_S)
    place.saw(worker, sign)
    return _ended_by_the_watchdog(worker) or place.finish(worker, truth, sentinel=3)


def _ended_by_the_watchdog(worker: Kept) -> list[str]:
    status = worker.wait(NO_PROGRESS_S * 5)
    if status is None:
        worker.kill()
        return ["alive, and doing nothing"]
    assert status == ExitCode.NO_PROGRESS, worker.log_tail()
    return []


def revoked_in_the_midst(place: Place) -> list[str]:
    """Another worker joins while a record is being done."""
    truth = [event(0, "s", waits=True)]
    place.broker.produce(truth)
    first = place.worker("w0", revoke_drain_s=0.5)
    place.saw(first, "asked")
    assignments = len(first.journal("assigned"))
    second = place.worker("w1", revoke_drain_s=0.5)
    try:
        place.saw(first, "assigned", count=assignments + 1)
        place.saw(first, "asked", count=2)
        (place.journals / "let-go").touch()
        return place.settle([first, second], truth, sentinel=1)
    finally:
        first.kill()
        second.kill()


def started_again(place: Place) -> list[str]:
    """One of two workers is killed and starts again: the other is not disturbed."""
    workers = [place.worker(name, session_timeout_s=SHORT_SESSION_TIMEOUT_S) for name in ("w0", "w1")]
    try:
        assert wait_until(lambda: place.broker.members(stable=True) == 2, READY_S)
        for worker in workers:
            place.rounds(worker)
        before = [len(worker.journal("revoked")) for worker in workers]
        workers[0].kill()
        workers[0].replace()
        place.saw(workers[0], "assigned", count=len(workers[0].journal("assigned")) + 1)
        disturbed = len(workers[1].journal("revoked")) - before[1]
        return [f"the other worker lost its partitions {disturbed} times"] if disturbed else []
    finally:
        for worker in workers:
            worker.kill()


def late_write(place: Place) -> list[str]:
    """A process that lost the partition long ago writes a fact after its successor has."""
    first = event(0, "s")
    place.broker.produce([first])
    worker = place.worker()
    place.saw(worker, "effect")
    place.committed(1)
    worker.kill()
    late = ENVELOPE.pack(1, 0.0) + b'{"answer": "late", "amount": 1}'
    producer = Producer(place.broker.config)
    producer.produce(place.broker.changelog, late, first.id.encode(), 0)
    producer.flush()
    place.broker.produce([first])
    return place.finish(worker, [first], sentinel=2)


# Which scenario shows that a protection is needed.
FOR: dict[str, tuple[Callable[[Place], list[str]], ...]] = {
    "in_order_acks": (slow_head,),
    "awaited_changelog": (fact_under_way,),
    "awaited_words": (words_under_way,),
    "state_before_words": (fact_and_words_under_way,),
    "contiguity": (second_record_skipped,),
    "start_at_committed": (first_record_skipped,),
    "take_over": (thrown_away,),
    "freeze_guard": (frozen,),
    "watchdog": (silent, silent_from_the_start),
    "guarded_recovery": (recovery_for_ever, recovery_stands_still),
    "cancel_on_revoke": (revoked_in_the_midst,),
    "static_membership": (started_again,),
    "terms": (late_write,),
}
