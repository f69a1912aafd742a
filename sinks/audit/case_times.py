"""Fills in `case_at` in records that lack it, because their writer knew only the id of the case or was an older
version.

The record `received` opens the case. The time of the case is its `case_at`, or its own `time` if an older version wrote
it. All records of a case are in one partition, and the one that opens it is the first. So the time is known when a
later record is written, and is the same when that record is written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from nightdesk.schemas.records import AuditRecord
from nightdesk.sinks.audit.table import AuditTable, InsertSlice


def with_case_times(table: AuditTable, slices: Sequence[InsertSlice]) -> list[InsertSlice]:
    """The slices with every known time. If no record of a case is stored, its records keep their own times.

    Raises `connection.ANY_FAILURE`.
    """
    lacking = [record for one in slices for record in one.records if _lacks_its_time(record)]
    if not lacking:
        return list(slices)
    known = _of_batch(slices)
    unknown = {(record.subject, str(record.case_id)) for record in lacking if record.case_id not in known}
    if unknown:
        known |= table.case_times(sorted(unknown))
    return [replace(one, records=[_completed(record, known) for record in one.records]) for one in slices]


def _lacks_its_time(record: AuditRecord) -> bool:
    return record.case_id is not None and record.case_at is None


def _of_batch(slices: Sequence[InsertSlice]) -> dict[str, datetime]:
    """The times of cases from the records of a batch: from the first record that opens the case, like in the table;
    otherwise from any record that has the time.
    """
    records = [record for one in slices for record in one.records if record.case_id]
    opened = [(str(one.case_id), one.case_at or one.time) for one in records if one.kind == "received"]
    stated = [(str(one.case_id), one.case_at) for one in records if one.case_at]
    return dict(reversed([*opened, *stated]))


def _completed(record: AuditRecord, known: Mapping[str, datetime]) -> AuditRecord:
    if record.case_id is None or record.case_at is not None or record.case_id not in known:
        return record
    return record.model_copy(update={"case_at": known[record.case_id]})
