"""Fits a dead letter into its topic: complete if possible, otherwise with the beginning of the record and a reference.

A cut record is identified by its digest, its size and its offset. It stays in its own topic until retention deletes it,
and in a folder if one is configured (`oversized.py`).
"""

from hashlib import sha256
from itertools import accumulate, takewhile

from nightdesk.schemas import bounds
from nightdesk.schemas.dead_letters import Headers, Original
from nightdesk.schemas.records import DeadLetter

# The part that `nightdesk dlq show` shows.
VALUE_BYTES_KEPT = 64 * 1024
KEY_BYTES_KEPT = 1024


def fit(letter: DeadLetter, original: Original, at_most: int) -> tuple[DeadLetter, Original]:
    """The letter and its part of `original`, which is then at most `at_most` bytes."""
    if _fits(original, at_most):
        return letter, original
    kept = Original(
        key=None if original.key is None else original.key[:KEY_BYTES_KEPT],
        value=None if original.value is None else original.value[: min(VALUE_BYTES_KEPT, at_most // 2)],
        headers=_first(original.headers, min(bounds.HEADER_BYTES_AT_MOST, at_most // 4)),
    )
    about = {
        "truncated": True,
        "sha256": digest(original),
        "size_bytes": len(original.value or b""),
        "original_headers": len(kept.headers),
    }
    return letter.model_copy(update=about), kept


def digest(original: Original) -> str:
    """The digest of key, value and header values, each with its length, so that a record that is found again can be
    verified.

    It omits header names, because two clients may decode a name that is not UTF-8 differently.
    """
    found = sha256()
    for part in (original.key, original.value, *(value for _, value in original.headers)):
        found.update(b"-" if part is None else b"%d:" % len(part))
        found.update(part or b"")
    return found.hexdigest()


def _fits(original: Original, at_most: int) -> bool:
    size = len(original.key or b"") + len(original.value or b"") + bounds.size_of_headers(original.headers)
    return size <= at_most and len(original.headers) <= bounds.DEAD_LETTER_HEADERS_AT_MOST


def _first(headers: Headers, bytes_at_most: int) -> Headers:
    """As many of the first headers as there is room for."""
    sizes = accumulate(bounds.size_of_headers([header]) for header in headers[: bounds.HEADERS_AT_MOST])
    return headers[: sum(1 for _ in takewhile(lambda size: size <= bytes_at_most, sizes))]
