"""The digest of a record, as ClickHouse computes it of the record's row when the sink inserts it.

It covers every field in the order of `AuditRecord`, in ClickHouse's format RowBinary.
"""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime, timedelta

from nightdesk.schemas.records import AuditRecord

DIGEST_BYTES = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NULLABLE = frozenset(
    {"case_id", "agent", "charter_version", "decision_id", "action", "confidence", "disposition", "provider", "model"}
    | {"traceparent"}
)


def digest(record: AuditRecord) -> bytes:
    """The digest of a record. Without `case_at` it is that of a record about no case, whose row has its own time."""
    parts = []
    for name in AuditRecord.model_fields:
        value = getattr(record, name)
        if name == "case_at" and value is None:
            value = record.time
        if name in NULLABLE:
            parts.append(b"\x01" if value is None else b"\x00")
        if value is not None:
            parts.append(_binary(value))
    return hashlib.sha256(b"".join(parts)).digest()[:DIGEST_BYTES]


def _binary(value: object) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return _length(len(text)) + text
    if isinstance(value, datetime):
        return struct.pack("<q", (value - EPOCH) // MICROSECOND)
    return struct.pack("<d" if isinstance(value, float) else "<q", value)


def _length(number: int) -> bytes:
    """LEB128."""
    found = bytearray()
    while number >= 128:
        found.append(number % 128 + 128)
        number //= 128
    return bytes([*found, number])
