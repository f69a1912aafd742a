"""Whether every running worker can read a charter before it is promoted.

Each worker compiles a charter when it reads it on `control`, and reports those that it cannot. So its report is the
proof; no comparison of version numbers could say as much.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.installation import Installation
from nightdesk.operations.workers import SILENT_AFTER, Worker, read_workers
from nightdesk.schemas.program import program_version
from nightdesk.schemas.records import WorkerReport
from nightdesk.streams.control import Control

# Workers report once a second, and read an order within one.
READ_WITHIN_S = 15.0
LOOK_AGAIN_AFTER_S = 0.5

REMEDY = "Upgrade the workers first, then run this again"


def oldest_reader(installation: Installation, versions: Mapping[str, str], control: Control) -> str:
    """The oldest program of the running workers, each of which can read these versions (agent -> version); without
    workers it is this one. `control` was read after they were applied.

    Raises `Failure` if a worker cannot read one, or does not say.
    """
    workers = _wait_until_read(installation, control.read_up_to)
    check_readable([one.report for one in workers], versions)
    programs = [one.report.program_version for one in workers] or [program_version()]
    return min(programs, key=_order)


def _wait_until_read(installation: Installation, control_offset: int) -> list[Worker]:
    """The running workers, once each has read `control` up to there. A worker that reports no more is not running,
    whatever its last report says: it may have been killed a moment ago.
    """
    first = workers = _running(installation)
    began = time.monotonic()
    while late := [one for one in workers if one.report.control_offset < control_offset]:
        waited_s = time.monotonic() - began
        if waited_s > SILENT_AFTER.total_seconds():
            late = [one for one in late if not _has_not_reported(one, first)]
        if not late:
            return [one for one in workers if one.report.control_offset >= control_offset]
        if waited_s > READ_WITHIN_S:
            why = f": its report cannot be read ({late[0].unreadable})" if late[0].unreadable else ""
            raise Failure(
                f"{late[0].name} has not read the charters within {READ_WITHIN_S:.0f} s{why}",
                "See `nightdesk status`, then run this again",
                FailureKind.NOT_READY,
            )
        time.sleep(LOOK_AGAIN_AFTER_S)
        workers = _running(installation)
    return workers


def _has_not_reported(worker: Worker, since: Sequence[Worker]) -> bool:
    return any(one.report.token == worker.report.token and one.last_at == worker.last_at for one in since)


def check_readable(reports: Sequence[WorkerReport], versions: Mapping[str, str]) -> None:
    """Raises `Failure` unless each report says that its program can read these versions."""
    for report in reports:
        if not report.program_version:
            raise Failure(
                f"{report.key} runs an older program, which does not say whether it can read the charters",
                REMEDY,
                FailureKind.NOT_READY,
            )
        for charter in report.unreadable_charters:
            if versions.get(charter.agent) == charter.version:
                raise Failure(
                    f"{report.key} runs version {report.program_version} and cannot read charter {charter.version} of"
                    f" {charter.agent}: {charter.reason}",
                    REMEDY,
                    FailureKind.NOT_READY,
                )


def _running(installation: Installation) -> list[Worker]:
    return [
        worker
        for worker in read_workers(installation)
        if not worker.is_silent and worker.report.state not in ("stopped", "refused")
    ]


def _order(program: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", program)]
