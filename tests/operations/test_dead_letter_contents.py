"""A cut letter gives its record whole or not at all."""

from collections.abc import Iterator
from typing import Any

import pytest

from nightdesk.messaging.settings import KafkaSettings
from nightdesk.operations.dead_letters.contents import Finder
from nightdesk.schemas.dead_letters import Original
from nightdesk.schemas.records import DeadLetter
from nightdesk.schemas.truncation import digest
from tests.schemas.samples import NOW


class Lies:
    """A message with what is asked of one."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[Any]:
        return []


class Place(Finder):
    """A topic that has these values there."""

    values: tuple[bytes, ...] = ()

    def _read(self, about: DeadLetter, records: int) -> Iterator[Any]:
        return map(Lies, self.values[:records])


CARRIED = Original(b"k", b"wh", ())
WHOLE = Original(b"k", b"whole", ())


@pytest.mark.parametrize(
    ("values", "records", "sha256", "found"),
    [
        ((b"whole",), 1, digest(WHOLE), (WHOLE,)),
        ((b"other",), 1, digest(WHOLE), ()),
        ((), 1, digest(WHOLE), ()),
        ((b"whole", b"2"), 2, None, (WHOLE, Original(b"k", b"2", ()))),
        ((b"whole",), 2, None, ()),
    ],
)
def test_what_lies_there_counts_if_it_is_all_and_has_the_digest(
    monkeypatch: pytest.MonkeyPatch, values: tuple[bytes, ...], records: int, sha256: str | None, found: Any
) -> None:
    monkeypatch.setattr(Place, "values", values)
    about = DeadLetter(
        dead_letter_id="d", stage="ingest", topic="ingest", partition=0, offset=0, timestamp_ms=0, error="OutOfBounds",
        message="", traceback="", program_version="0", time=NOW, truncated=True, sha256=sha256, records=records,
    )  # fmt: skip
    contents = Place(KafkaSettings(), None).contents(about, CARRIED)
    assert contents.whole == found
    assert contents.shown == (WHOLE if len(found) == 1 else CARRIED)
