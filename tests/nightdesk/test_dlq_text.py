"""What `dlq show` prints of a letter for people, without a broker."""

from __future__ import annotations

import pytest

from nightdesk.commands.dlq_text import render
from nightdesk.operations.dead_letters.contents import Contents
from nightdesk.operations.dead_letters.reading import Letter
from nightdesk.schemas.dead_letters import Original
from nightdesk.schemas.records import DeadLetter, Event
from tests.processors.examples import NOW

EVENT = Event(id="e-1", source="shop", type="ticket.created", subject="Grüße", time=NOW, data="{}")


@pytest.mark.parametrize("record", [EVENT, None])
def test_a_record_is_shown_as_it_was_written_and_bytes_where_it_cannot_be_read(record: Event | None) -> None:
    about = DeadLetter(
        dead_letter_id="dl-1", stage="ingest", topic="ingest", partition=1, offset=7, timestamp_ms=0, error="Boom",
        message="it broke", traceback="a line\nanother\n", program_version="0.1.0", time=NOW,
    )  # fmt: skip
    original = Original(b"Gr\xc3\xbc\xc3\x9fe", b"\x00\xff", (("name", b"value"),))
    lines = list(render(Letter(about, ("ingest.dlq", 1, 3), 2), Contents(original, ()), record))
    assert ("Grüße" in next((line for line in lines if line.startswith("  says ")), "")) is (record is not None)
    assert any(line.startswith("  bytes ") for line in lines) is (record is None)
    assert lines[-2:] == ["    a line", "    another"]
    assert not any("waiting" in line or "truncated" in line or ", try" in line for line in lines)
