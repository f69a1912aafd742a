"""Scenarios about the owner of a partition: a worker that cannot reach the group coordinator, two workers under one
instance id, and late writes of a former owner. `scenarios.py` lists them; the proxy cuts one connection of one worker.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

from nightdesk.messaging.changelog import Entry, encode
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.chaos.kafka_proxy import Direction, KafkaProxy, Role
from tests.streams.fault_injection.broker import wait_until
from tests.streams.fault_injection.events import event
from tests.streams.fault_injection.keeper import RestartedWorker
from tests.streams.fault_injection.place import READY_S, SHORT_SESSION_TIMEOUT_S, Place

# The wait before recovery, made so long that a busy machine cannot hide it, and how long the former process is deaf.
SETTLE_S = 20.0
DEAF_S = 10.0
# A worker that is asked to stop and cut off has to give up long before.
STOPPED_WITHIN_S = 40.0
# Longer than any test.
LONG_SESSION_S = 300.0


def cut_off_from_the_coordinator(place: Place) -> list[str]:
    """Heartbeats do not arrive, fetching and producing continue, and the group removes the worker while it handles a
    record.
    """
    truth = [event(0, "s", waits=True)]
    place.broker.produce(truth)
    with _behind_a_proxy(place) as (proxy, worker):
        place.saw(worker, "asked")
        proxy.hold("w0", Role.COORDINATOR)
        assert wait_until(lambda: place.broker.members() == 0, READY_S), "the group did not give the worker up"
        assert proxy.hit["w0", Role.COORDINATOR]
        (place.journals / "let-go").touch()
        wait_until(lambda: not worker.running or bool(worker.journal("effect")), READY_S)
        acted = [f"acted without its partitions: {line['id']}" for line in worker.journal("effect")]
        if worker.running:
            worker.kill()
        else:
            assert worker.wait(0) == ExitCode.OWNERSHIP_LOST, worker.log_tail()
        proxy.heal("w0")
        return acted or place.finish(worker, truth, sentinel=1)


def stopped_while_cut_off(place: Place) -> list[str]:
    """A worker is asked to stop after it has handled a record, and its offsets cannot be committed."""
    truth = [event(number, "s") for number in range(2)]
    place.broker.produce(truth[:1])
    with _behind_a_proxy(place) as (proxy, worker):
        assert place.committed(1), worker.log_tail()
        proxy.hold("w0", Role.COORDINATOR)
        place.broker.produce(truth[1:])
        place.saw(worker, "effect", count=2)
        worker.signal(signal.SIGTERM)
        status = worker.wait(STOPPED_WITHIN_S)
        if status is None:
            worker.kill()
            return ["waits for ever for its offsets to be taken"]
        if status == ExitCode.DRAINED:
            return ["says that it has committed, and has not"]
        proxy.heal("w0")
        return place.finish(worker, truth, sentinel=2)


def stopped_for_good(place: Place) -> list[str]:
    """One of two workers is asked to stop. Its session would last for minutes."""
    workers = [place.worker(name, session_timeout_s=LONG_SESSION_S) for name in ("w0", "w1")]
    try:
        for worker in workers:
            place.rounds(worker)
        assert wait_until(lambda: place.broker.members(stable=True) == 2, READY_S)
        place.broker.produce([event(0, "s")])
        assert wait_until(lambda: any(worker.journal("effect") for worker in workers), READY_S)
        owner, other = sorted(workers, key=lambda worker: not worker.journal("effect"))
        owner.signal(signal.SIGTERM)
        assert owner.wait(STOPPED_WITHIN_S) == ExitCode.DRAINED, owner.log_tail()
        if place.broker.members() != 1:
            return ["it ended and is still in its group, so its partition stands still until its session is over"]
        place.broker.produce([event(1, "s")])
        place.saw(other, "effect")
        return [f"handled by both: {line['id']}" for line in other.journal("effect") if line["id"] == event(0, "s").id]
    finally:
        for worker in workers:
            worker.kill()


def two_under_one_id(place: Place) -> list[str]:
    """A second worker starts under the instance id of a running one."""
    first = place.worker()
    place.saw(first, "assigned")
    place.rounds(first)
    assignments = len(first.journal("assigned"))
    second = _twin(place)
    try:
        ended = wait_until(lambda: not first.running or len(first.journal("assigned")) > assignments, READY_S)
        assert ended, "nothing happened to the first"
        if first.running:
            return ["the first took its place back, and so on for ever"]
        if first.ended != ExitCode.TWIN:
            return [f"the first ended with {first.ended}, and does not say that there are two"]
        return place.settle([second], [], sentinel=0)
    finally:
        first.kill()
        second.kill()


def replaced_and_not_yet_told(place: Place) -> list[str]:
    """A second worker has the partitions of one that has not heard of it yet and is handling a record."""
    truth = [event(0, "s", waits=True)]
    place.broker.produce(truth)
    with _behind_a_proxy(place, session_timeout_s=3 * SETTLE_S) as (proxy, first):
        place.saw(first, "asked")
        proxy.hold("w0", Role.COORDINATOR, directions=(Direction.ANSWERS,))
        second = _twin(place, settle_s=SETTLE_S, session_timeout_s=3 * SETTLE_S)
        try:
            place.saw(second, "assigned")
            too_soon = wait_until(lambda: bool(second.journal("asked")), DEAF_S)
            (place.journals / "let-go").touch()
            place.saw(first, "effect")
            proxy.heal("w0")
            if too_soon:
                return ["read its tables while the one before it still wrote them"]
            assert wait_until(lambda: not first.running, READY_S), "the first never heard that it was replaced"
            return place.settle([first, second], truth, sentinel=1) if first.ended == ExitCode.TWIN else []
        finally:
            second.kill()


def late_deletion(place: Place) -> list[str]:
    """A process that lost the partition long ago deletes a key after its successor has written it."""
    first = event(0, "s")
    place.broker.produce([first])
    worker = place.worker()
    place.saw(worker, "effect")
    place.committed(1)
    worker.kill()
    value, headers = encode(Entry(1, 0.0, None))
    producer = Producer(place.broker.config)
    producer.produce(place.broker.changelog, value, first.id.encode(), 0, headers=list(headers))
    producer.flush()
    place.broker.produce([first])
    return place.finish(worker, [first], sentinel=2)


@contextmanager
def _behind_a_proxy(
    place: Place, session_timeout_s: float = SHORT_SESSION_TIMEOUT_S
) -> Iterator[tuple[KafkaProxy, RestartedWorker]]:
    with KafkaProxy(place.broker.bootstrap_servers) as proxy:
        worker = place.worker(bootstrap_servers=proxy.address("w0"), session_timeout_s=session_timeout_s)
        try:
            yield proxy, worker
        finally:
            worker.kill()


def _twin(place: Place, **orders: object) -> RestartedWorker:
    return place.worker("w0", journal=place.journals / "twin.jsonl", **orders)
