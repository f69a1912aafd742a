"""The rate of each subject: which of its cases were admitted in the last period. A part of the ingest stage.

The table has an entry for each admitted case, so that an admission writes as much with a million cases in the period as
with one. The log of each subject is derived from the entries: at the start if they are in memory, and when it is needed
first if they are on disk.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import BaseModel, Field

from nightdesk.processors.quantities import Rate
from nightdesk.processors.rates import Admission, AdmissionLog
from nightdesk.schemas.ids import composite_key
from nightdesk.schemas.records import Case
from nightdesk.streams.api import StagedWrites, Table
from nightdesk.streams.api.entries import Total


class AdmittedCase(BaseModel):
    """When a case was admitted (epoch seconds). An older program stored all cases of a subject in one entry, as
    `admitted`.
    """

    at: float | None = None
    admitted: dict[str, float] = Field(default_factory=dict)


class Admitted(NamedTuple):
    """The admission of a case of a queue, staged and not counted yet. Without a rate there is no time, and nothing to
    count. `before` is its earlier admission, if a process died before the reservation was durable.
    """

    case_id: str
    queue: str
    at: float | None
    before: Admission | None = None


class SubjectRates:
    """The admitted cases of the subjects whose partitions this process owns."""

    def __init__(self) -> None:
        self.table = Table("subject_rates", AdmittedCase, self._on_expired, _added_by)
        self._logs: dict[tuple[int, str], AdmissionLog] = {}

    def recovered(self) -> Iterator[None]:
        """Derive the logs again."""
        found: dict[tuple[int, str], list[Admission]] = {}
        for held in self.table.store.held_partitions():
            if self._cases_on_disk(held, "") is not None:
                continue
            for entries in self.table.slices(held):
                for partition, key, entry in entries:
                    for queue, admission in _admissions(key, entry):
                        if entry.at is not None or not self.table.contains(partition, _key(queue, admission.cause)):
                            found.setdefault((partition, queue), []).append(admission)
                yield
        self._logs = {place: AdmissionLog(admissions) for place, admissions in found.items()}

    def admit(self, case_id: str, queue: str, rate: Rate, writes: StagedWrites, now: float) -> Admitted | float:
        """Stage the admission of a case of a queue. If the rate has no room, returns when it will have some (epoch
        seconds).

        A case that was admitted before and did not go on begins now, so its period does, too.
        """
        log = self._log(writes.partition, queue)
        for changed in log.set_back(now):  # a clock that was ahead wrote them, so they count from now
            self._put(writes, queue, changed, rate)
        before = self._admission(writes.partition, queue, case_id)
        if before is not None:
            log.discard(before)
        room_at = log.room_at(rate, now)
        if before is not None:
            log.add(before)
        if room_at > now:
            return room_at
        self._put(writes, queue, Admission(now, case_id), rate)
        return Admitted(case_id, queue, now, before)

    def count(self, partition: int, admitted: Admitted) -> None:
        """Count the admission, when everything else that its case causes is staged."""
        if admitted.at is None:
            return
        log = self._log(partition, admitted.queue)
        if admitted.before is not None:
            log.discard(admitted.before)
        log.add(Admission(admitted.at, admitted.case_id))

    def _log(self, partition: int, queue: str) -> AdmissionLog:
        log = self._logs.get((partition, queue))
        if log is None:
            cases = self._cases_on_disk(partition, queue) or ()
            found = (self._admission(partition, queue, case_id) for case_id in cases)
            log = AdmissionLog(admission for admission in found if admission is not None)
            self._logs[partition, queue] = log
        return log

    def _cases_on_disk(self, partition: int, queue: str) -> set[str] | None:
        """The admitted cases of a queue; None if the entries are in memory."""
        prefix = _name(queue)
        found = self.table.store.totals(partition, prefix, prefix[:-1] + b"\1")
        return None if found is None else {name[len(prefix) :].decode() for name, _ in found}

    def _put(self, writes: StagedWrites, queue: str, admission: Admission, rate: Rate) -> None:
        entry = AdmittedCase(at=admission.at)
        self.table.put(writes, _key(queue, admission.cause), entry, admission.at + rate.per_seconds)

    def _admission(self, partition: int, queue: str, case_id: str) -> Admission | None:
        entry = self.table.get(partition, _key(queue, case_id))
        if entry is not None and entry.at is not None:
            return Admission(entry.at, case_id)
        old = self.table.get(partition, queue)
        return None if old is None or case_id not in old.admitted else Admission(old.admitted[case_id], case_id)

    def _on_expired(self, key: str, entry: AdmittedCase, writes: StagedWrites) -> None:
        for queue, admission in _admissions(key, entry):
            log = self._logs.get((writes.partition, queue))
            if log is not None:
                log.discard(admission)
                if not log:
                    del self._logs[writes.partition, queue]
        self.table.delete(writes, key)


def queue_of(case: Case) -> str:
    """Names the queue, and the rate, of the case's agent and subject."""
    return composite_key(case.agent, case.subject)


def _key(queue: str, case_id: str) -> str:
    return f"{queue}/{case_id}"


def _name(queue: str) -> bytes:
    """Begins the names under which the cases of a queue are found on disk."""
    return queue.encode() + b"\0"


def _added_by(key: bytes, entry: AdmittedCase) -> Iterator[Total]:
    for queue, admission in _admissions(key.decode(), entry):
        yield _name(queue) + admission.cause.encode(), (1,)


def _admissions(key: str, entry: AdmittedCase) -> Iterator[tuple[str, Admission]]:
    """The admissions of an entry, with their queue."""
    for case_id, at in entry.admitted.items():
        yield key, Admission(at, case_id)
    if entry.at is not None:
        queue, _, case_id = key.rpartition("/")
        yield queue, Admission(entry.at, case_id)
