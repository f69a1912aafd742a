"""Reads the state of the stage processes from their reports on `workers`.

Times are the broker's, which stamps each report. Silence is measured against the other reports first, because this
machine's clock may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nightdesk.messaging.failures import Failure
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.installation import Installation
from nightdesk.schemas.codec import Codec, RegistryUnavailable, Undecodable
from nightdesk.schemas.records import WorkerReport
from nightdesk.schemas.topics import WORKERS

# Reports come once a second. If none comes at all, this machine's clock decides, with a larger margin.
SILENT_AFTER = timedelta(seconds=5)
ALL_SILENT_AFTER = timedelta(seconds=60)
# A key that is longer is no worker's.
LONGEST_KEY = 500


@dataclass(frozen=True, slots=True)
class Worker:
    """A process and its last report, which the broker stamped with `last_at`. If that report cannot be read,
    `unreadable` says why, and `report` has only what its key says: such a process proves nothing.
    """

    report: WorkerReport
    last_at: datetime
    is_silent: bool
    unreadable: str = ""

    @property
    def name(self) -> str:
        """Its stage and instance id."""
        return f"{self.report.stage}/{self.report.instance_id}"


def read_workers(settings: Installation) -> list[Worker]:
    """Every process that reported within the last day, by name, also those whose report cannot be read: anybody may
    have written it, and it must not hide the others. Raises `Failure`.
    """
    last: dict[bytes, tuple[bytes, int]] = {}
    for message in read_topic(settings.kafka, settings.kafka.topic_prefix + WORKERS.name):
        value = message.value()
        if value is not None:
            last[message.key() or b""] = (value, message.timestamp()[1])
    if not last:
        return []
    newest_at = _time(max(stamp_ms for _, stamp_ms in last.values()))
    all_silent = datetime.now(UTC) - newest_at > ALL_SILENT_AFTER
    with registered_codec(settings, WorkerReport) as codec:
        found = []
        for key, (value, stamp_ms) in last.items():
            at = _time(stamp_ms)
            report, unreadable = _report(codec, key, value, at)
            silent = report.state in ("ready", "paused", "not_ready") and (all_silent or newest_at - at > SILENT_AFTER)
            found.append(Worker(report, at, silent, unreadable))
    return sorted(found, key=lambda worker: worker.report.key)


def _report(codec: Codec, key: bytes, value: bytes, at: datetime) -> tuple[WorkerReport, str]:
    """The report, and why it cannot be read, if it cannot."""
    try:
        return codec.decode(WorkerReport, value), ""
    except Undecodable as error:
        return _known_by_its_key(key, at), str(error)
    except RegistryUnavailable as error:
        raise Failure(str(error)) from error


def _known_by_its_key(key: bytes, at: datetime) -> WorkerReport:
    """What is known of a process whose report cannot be read. An older report under its key may be another process's,
    so it says nothing of this one.
    """
    name = key.decode(errors="replace")[:LONGEST_KEY]
    stage, _, instance_id = name.partition("/")
    return WorkerReport(
        key=name,
        stage=stage,
        instance_id=instance_id,
        token="",
        host="",
        pid=0,
        state="not_ready",
        started_at=at,
        time=at,
    )


def _time(stamp_ms: int) -> datetime:
    return datetime.fromtimestamp(stamp_ms / 1000, UTC)
