"""Scenarios in which the log itself is unusual: other producers' transactions, deleted records and changed topics.

They are called like those of `scenarios.py`: each returns the violations that it found.
"""

from collections.abc import Callable

from confluent_kafka import Producer

from nightdesk.schemas.records import Event
from nightdesk.streams.runtime.consuming.quarantine import QUARANTINE_AFTER
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.streams.fault_injection.broker import wait_until
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.fault_injection.events import event
from tests.streams.fault_injection.keeper import RestartedWorker
from tests.streams.fault_injection.place import READY_S, Place

# The first end at a record that kills is nobody's; from then on it is in hand.
ENDS_AT_MOST = 1 + QUARANTINE_AFTER
# Longer than two looks of the log watch, so that it has had its chance before the watchdog has.
NO_PROGRESS_S = 12.0


def aborted(place: Place) -> list[str]:
    """Another producer has aborted a transaction between two records."""
    truth = [event(0, "s"), event(3, "s")]
    place.broker.produce(truth[:1])
    _transaction(place, [event(1, "s"), event(2, "t")]).abort_transaction()
    place.broker.produce(truth[1:])
    worker = place.worker(no_progress_s=NO_PROGRESS_S)
    assert wait_until(lambda: not worker.running or place.broker.committed()[0] == 5, READY_S), worker.log_tail()
    known = {one.id for one in truth}
    acted = [f"acted on what was aborted: {line['id']}" for line in worker.journal("effect") if line["id"] not in known]
    if worker.running:
        worker.kill()
    return acted or place.finish(worker, truth, sentinel=4)


def markers_at_the_end(place: Place) -> list[str]:
    """The log ends with a transaction's marker and with what another transaction has aborted."""
    truth = [event(0, "s"), event(1, "s")]
    place.broker.produce(truth[:1])
    _transaction(place, truth[1:]).commit_transaction()
    _transaction(place, [event(2, "s")]).abort_transaction()
    worker = place.worker(no_progress_s=NO_PROGRESS_S)
    wait_until(lambda: not worker.running or place.broker.committed()[0] == 5, NO_PROGRESS_S * 5)
    status, committed = worker.ended, place.broker.committed()[0]
    if worker.running:
        worker.kill()
    if status is not None:
        assert status == ExitCode.NO_PROGRESS, worker.log_tail()
        return ["the watchdog ended it, with nothing left to read"]
    if committed != 5:
        return [f"stays at {committed}, with nothing left to read"]
    return place.finish(worker, truth, sentinel=3)


def open_transaction(place: Place) -> list[str]:
    """A transaction stays open: the records before it are handled; those behind it wait, and are handled later."""
    truth = [event(0, "s"), event(2, "s")]
    place.broker.produce(truth[:1])
    hanging = _transaction(place, [event(1, "s")])
    place.broker.produce(truth[1:])
    worker = place.worker(no_progress_s=NO_PROGRESS_S)
    try:
        assert place.committed(1), worker.log_tail()
        if wait_until(lambda: not worker.running, NO_PROGRESS_S * 2):
            return [f"ended with {worker.ended} while it had to wait for another producer"]
        hanging.abort_transaction()
        return place.settle([worker], truth, sentinel=3)
    finally:
        worker.kill()


def deleted_unread(place: Place) -> list[str]:
    """Records are deleted while no worker runs, and one record remains behind them."""
    return _deleted(place, left=1)


def deleted_unread_to_the_end(place: Place) -> list[str]:
    """All records are deleted while no worker runs, and no later record shows the gap."""
    return _deleted(place, left=0)


def _deleted(place: Place, left: int) -> list[str]:
    done, gone = event(0, "s"), [event(number, "s") for number in range(1, 4)]
    place.broker.produce([done])
    worker = place.worker()
    assert place.committed(1), worker.log_tail()
    worker.kill()
    rest = [event(4 + number, "s") for number in range(left)]
    place.broker.produce([*gone, *rest])
    place.broker.delete_records(before=4)
    worker.replace()
    # What is said once more after a crash is said of the same offsets.
    assert place.committed(4 + left), worker.log_tail()
    worker.kill()
    said = place.broker.letters()
    wrong = [] if [(one.kind, one.offset, one.records) for one in said] == [("lost", 1, 3)] else [f"said: {said}"]
    return wrong or place.finish(worker, [done, *rest], sentinel=9)


def deadly(place: Place) -> list[str]:
    """A record ends the process whenever it is handled; others lie before and behind it."""
    good = [event(number, f"s-{number}") for number in range(5)]
    place.broker.produce([*good[:3], event(9, "s-9", kills=True), *good[3:]])
    worker = place.worker()
    try:

        def through() -> bool:
            worker.keep()
            return place.broker.committed()[0] == 6 or len(worker.exits) > ENDS_AT_MOST

        assert wait_until(through, READY_S * 2), worker.log_tail()
        said = [(one.kind, one.offset) for one in place.broker.letters()]
        if len(worker.exits) > ENDS_AT_MOST:
            return [f"it ended {len(worker.exits)} times, and nothing behind the record was done"]
        problems = [] if said == [("quarantined", 3)] else [f"said: {said}"]
        return problems or place.settle([worker], good, sentinel=10)
    finally:
        worker.kill()


def topic_made_anew(place: Place) -> list[str]:
    """Somebody deletes the topic under a running worker and creates it again, with more records than were read."""
    before = [event(number, "s") for number in range(2)]
    place.broker.produce(before)
    worker = place.worker()
    assert place.committed(2), worker.log_tail()
    place.broker.recreate(place.broker.events)
    anew = [event(10 + number, "s") for number in range(3)]
    place.broker.produce(anew)
    assert wait_until(lambda: place.broker.ends(place.broker.events)[0] == len(anew), READY_S)
    problems = _ends_cleanly(worker)
    # What the next one begins with is the beginning of the new topic.
    worker.replace()
    wait_until(lambda: _done(worker) >= {one.id for one in anew}, READY_S / 3)
    worker.kill()
    missing = {one.id for one in anew} - _done(worker)
    return [*problems, *(f"never done: {identity}" for identity in sorted(missing))]


def partitions_added(place: Place) -> list[str]:
    """Somebody adds a partition to the topic under a running worker."""
    place.broker.produce([event(0, "s")])
    worker = place.worker()
    assert place.committed(1), worker.log_tail()
    place.broker.add_partition(place.broker.events)
    return _ends_cleanly(worker)


def changelog_made_anew(place: Place) -> list[str]:
    """Somebody deletes a changelog under a running worker, and its state is gone with it."""
    place.broker.produce([event(0, "s")])
    worker = place.worker()
    assert place.committed(1), worker.log_tail()
    place.broker.recreate(place.broker.changelog)
    return _ends_cleanly(worker)


def _ends_cleanly(worker: RestartedWorker) -> list[str]:
    status = worker.wait(NO_PROGRESS_S * 2)
    if status is None:
        worker.kill()
        return ["goes on as if nothing had been"]
    return [] if status == ExitCode.TOPIC_CHANGED else [f"ends with {status}: {worker.log_tail()}"]


def _done(worker: RestartedWorker) -> set[object]:
    return {line["id"] for line in worker.journal("effect")}


def _transaction(place: Place, events: list[Event]) -> Producer:
    """A transaction with these events, neither committed nor aborted."""
    producer = Producer({**place.broker.config, "transactional.id": f"{place.broker.events}-{events[0].id}"})
    producer.init_transactions()
    producer.begin_transaction()
    codec = local_codec()
    for one in events:
        producer.produce(place.broker.events, codec.encode(one), one.subject.encode())
    producer.flush()
    return producer


# Which scenario shows that a protection is needed.
FOR: dict[str, tuple[Callable[[Place], list[str]], ...]] = {
    "read_committed": (aborted,),
    "log_watch": (markers_at_the_end,),
    "quarantine": (deadly,),
    "topic_watch": (topic_made_anew, partitions_added, changelog_made_anew),
    "reported_losses": (deleted_unread, deleted_unread_to_the_end),
}
