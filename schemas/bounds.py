"""How large each part of a record may be: the one table of bounds, and the check of a record that has just arrived.

The guard and the sink check a record before they decode it, and the records' models bound their own fields. Any client
with write access can produce anything, and a topic accepts more than a stage can process: a subject is a Kafka key, a
table's key and part of every id; a header is copied into a dead letter.
"""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

# An id, a name, a subject. A longer value is data in the wrong field.
NAME_CHARACTERS_AT_MOST = 1024
# A reason, a model's answer, the JSON of parameters or of an event's data.
TEXT_CHARACTERS_AT_MOST = 1_000_000
# Below the 4 MB that `nightdesk topics apply` gives every topic, with room for headers and the envelope.
RECORD_BYTES_AT_MOST = 3_500_000
# An event with the largest data that ingest accepts. Every later record nests the event, so the event's bound is
# smaller than theirs.
EVENT_BYTES_AT_MOST = 1_100_000
# UTF-8 takes at most four bytes for each character of the name that is the key.
KEY_BYTES_AT_MOST = 4 * NAME_CHARACTERS_AT_MOST
HEADERS_AT_MOST = 100
HEADER_NAME_CHARACTERS_AT_MOST = 1024
HEADER_BYTES_AT_MOST = 100_000
# The headers that we add to a record that is forwarded or replayed: they must not make it too large.
OUR_HEADERS_AT_MOST = 10
OUR_HEADER_BYTES_AT_MOST = 5_000
# The part of a dead letter that comes from the original record: its topic accepts 5 MB, and our own headers need some.
DEAD_LETTER_BYTES_AT_MOST = 4_500_000
DEAD_LETTER_HEADERS_AT_MOST = 1000

Name = Annotated[str, Field(max_length=NAME_CHARACTERS_AT_MOST)]
Text = Annotated[str, Field(max_length=TEXT_CHARACTERS_AT_MOST)]
# Content that may fill a record on its own: a charter, the detail of an audit record.
LongText = Annotated[str, Field(max_length=RECORD_BYTES_AT_MOST)]

Headers = Iterable[tuple[str, bytes | None]]


class OutOfBounds(ValueError):
    """A part of the record is too large; the message says which, and what to do."""


def check(key: bytes | None, value: bytes | None, headers: Headers, value_bytes_at_most: int) -> None:
    """Raise `OutOfBounds` for a record that is too large to decode."""
    if value is not None and len(value) > value_bytes_at_most:
        raise OutOfBounds(
            f"the record has {len(value)} bytes: its topic accepts at most {value_bytes_at_most}. Keep large content"
            " elsewhere and send a reference to it"
        )
    if key is not None and len(key) > KEY_BYTES_AT_MOST:
        raise OutOfBounds(f"the Kafka key has {len(key)} bytes: at most {KEY_BYTES_AT_MOST} are allowed. Use an id")
    if headers:
        _check_headers(tuple(headers))


def _check_headers(headers: tuple[tuple[str, bytes | None], ...]) -> None:
    if len(headers) > HEADERS_AT_MOST + OUR_HEADERS_AT_MOST:
        raise OutOfBounds(f"the record has {len(headers)} headers: at most {HEADERS_AT_MOST} are allowed")
    size = 0
    for name, value in headers:
        if len(name) > HEADER_NAME_CHARACTERS_AT_MOST:
            raise OutOfBounds(
                f"a header's name has {len(name)} characters: at most {HEADER_NAME_CHARACTERS_AT_MOST} are allowed"
            )
        size += _size_of_header(name, value)
    if size > HEADER_BYTES_AT_MOST + OUR_HEADER_BYTES_AT_MOST:
        raise OutOfBounds(f"the headers have {size} bytes: at most {HEADER_BYTES_AT_MOST} in total are allowed")


def size_of_headers(headers: Headers) -> int:
    """The bytes of names and values, as they are sent."""
    return sum(_size_of_header(name, value) for name, value in headers)


def _size_of_header(name: str, value: bytes | None) -> int:
    return len(name.encode(errors="replace")) + len(value or b"")
