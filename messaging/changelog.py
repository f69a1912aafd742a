"""The format of a fact in its table's changelog: the term that wrote it, when it expires, and its value.

A value has its term in an envelope. A deletion must be a null value, or compaction would keep the key forever, so its
term is in a header.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# term (ms), expires_at (epoch seconds, 0 never)
ENVELOPE = struct.Struct(">Qd")
TERM = struct.Struct(">Q")
TERM_HEADER = "term"

Headers = tuple[tuple[str, bytes], ...]
# In the form of the client that read the record.
AnyHeaders = Mapping[str, Any] | Iterable[tuple[str, Any]] | None


class Entry(NamedTuple):
    """One record of a changelog; `value` None deletes the key. Of several records of a key, the last one of the newest
    term counts.
    """

    term: int
    expires_at: float
    value: bytes | None


def encode(entry: Entry) -> tuple[bytes | None, Headers]:
    """Value and headers of the record."""
    if entry.value is None:
        return None, ((TERM_HEADER, TERM.pack(entry.term)),)
    return ENVELOPE.pack(entry.term, entry.expires_at) + entry.value, ()


def decode(value: bytes | None, headers: AnyHeaders) -> Entry:
    """The entry. A deletion without a term has term 0, older than all others."""
    if value is not None:
        term, expires_at = ENVELOPE.unpack_from(value)
        return Entry(term, expires_at, value[ENVELOPE.size :])
    packed = dict(headers or ()).get(TERM_HEADER)
    term = TERM.unpack(packed)[0] if isinstance(packed, bytes) and len(packed) == TERM.size else 0
    return Entry(term, 0.0, None)
