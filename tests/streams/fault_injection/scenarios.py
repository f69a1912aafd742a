"""For each protection the moment in which it matters. The scenarios make that moment certain and leave nothing to luck.

`tests/protections/test_protections.py` calls them. A scenario returns the violations that it found: none with the whole
layer, some without the protection. All topics have one partition, so that the order of events is known.
"""

from collections.abc import Callable

from confluent_kafka import Producer

from nightdesk.messaging.changelog import ENVELOPE
from nightdesk.schemas.records import Event
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.streams.fault_injection import ownership
from tests.streams.fault_injection.broker import wait_until
from tests.streams.fault_injection.events import event
from tests.streams.fault_injection.keeper import RestartedWorker
from tests.streams.fault_injection.place import NEVER_MS, NO_PROGRESS_S, READY_S, SHORT_SESSION_TIMEOUT_S, Place


def slow_head(place: Place) -> list[str]:
    """The first record is still in progress and nineteen after it are finished when the process is killed."""
    truth = [event(0, "s", delay_ms=NEVER_MS), *(event(number, f"other-{number}") for number in range(1, 20))]
    place.broker.produce(truth)
    worker = place.worker()
    assert wait_until(lambda: place.broker.ends(place.broker.said)[0] == 19, READY_S), worker.log_tail()
    place.rounds(worker)
    worker.kill()
    return place.finish(worker, truth, sentinel=20)


def fact_under_way(place: Place) -> list[str]:
    """The broker has not acknowledged a state update when the process is killed."""
    return _under_way(place, "changelog_never_delivered", event(0, "s"))


def words_under_way(place: Place) -> list[str]:
    """The broker has not acknowledged an output record when the process is killed."""
    return _under_way(place, "words_never_delivered", event(0, "s"))


def fact_and_words_under_way(place: Place) -> list[str]:
    """A record stores and emits at once, and the broker has not acknowledged its state update when the process is
    killed.
    """
    return _under_way(place, "changelog_never_delivered", event(0, "s", in_steps=False))


def _under_way(place: Place, suffers: str, first: Event) -> list[str]:
    place.broker.produce([first])
    worker = place.worker(suffers=suffers)
    place.saw(worker, "held")
    place.rounds(worker)
    worker.kill()
    return place.finish(worker, [first], sentinel=1)


def first_record_skipped(place: Place) -> list[str]:
    """Faust does not deliver the first record of a partition."""
    return _skipped(place, "first_record_skipped")


def second_record_skipped(place: Place) -> list[str]:
    """Faust does not deliver a record between two others."""
    return _skipped(place, "second_record_skipped")


def skipped_once(place: Place) -> list[str]:
    """Faust does not deliver a record between two others, and does when it is read again."""
    truth = [event(number, "s") for number in range(3)]
    place.broker.produce(truth)
    worker = place.worker(suffers="second_record_skipped_once")
    assert wait_until(lambda: not worker.running or place.broker.committed()[0] == len(truth), READY_S)
    if not worker.running:
        return [f"ended with {worker.wait(0)}"]
    worker.kill()
    return place.finish(worker, truth, sentinel=3)


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
    """Faust loses records that it fetched before it was ready, and no later record shows the gap."""
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


def silent(place: Place) -> list[str]:
    """The consumer delivers nothing more and still reports that it is alive."""
    return _silent(place, "silent_after_the_first")


def silent_from_the_start(place: Place) -> list[str]:
    """The consumer delivers nothing from the moment that it has its partitions."""
    return _silent(place, "silent_from_the_start")


def recovery_for_ever(place: Place) -> list[str]:
    """The recovery of the tables never ends."""
    return _silent(place, "recovery_never_ends", sign="recovering")


def recovery_stands_still(place: Place) -> list[str]:
    """The changelog has records, but none of them arrives."""
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


def _ended_by_the_watchdog(worker: RestartedWorker) -> list[str]:
    status = worker.wait(NO_PROGRESS_S * 5)
    if status is None:
        worker.kill()
        return ["alive, and doing nothing"]
    assert status == ExitCode.NO_PROGRESS, worker.log_tail()
    return []


def revoked_in_the_midst(place: Place) -> list[str]:
    """Another worker joins while a record is being handled."""
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
    """One of two workers is killed and restarted, which does not disturb the other."""
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
    """A process that lost the partition long ago writes a key after its successor has written it."""
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
    "rereads": (skipped_once,),
    "start_at_committed": (first_record_skipped,),
    "on_assigned": (thrown_away,),
    "lease": (ownership.cut_off_from_the_coordinator,),
    "fencing": (ownership.two_under_one_id,),
    "leaving": (ownership.stopped_for_good,),
    "settling": (ownership.replaced_and_not_yet_told,),
    "commit_failure": (ownership.stopped_while_cut_off,),
    "watchdog": (silent, silent_from_the_start),
    "guarded_recovery": (recovery_for_ever, recovery_stands_still),
    "cancel_on_revoke": (revoked_in_the_midst,),
    "static_membership": (started_again,),
    "terms": (late_write, ownership.late_deletion),
}
