"""Every hostile record through the guard alone: it ends as expected, within the bounds of the topics."""

import pytest
from faust.types import TP

from nightdesk.schemas.bounds import DEAD_LETTER_BYTES_AT_MOST, KEY_BYTES_AT_MOST, size_of_headers
from nightdesk.schemas.dead_letters import CONTEXT_HEADER, Original, original_headers
from nightdesk.schemas.records import AuditRecord, DeadLetter
from nightdesk.schemas.topics import INGEST
from nightdesk.schemas.truncation import digest
from nightdesk.streams.api import Route
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.stages.ingest import Ingest
from tests.hostile.corpus import EVENT, NOW, HostileRecord, records
from tests.processors.examples import compiled
from tests.streams.runtime.arrivals import arrival, ended, handled
from tests.streams.stages.stage_harness import CODEC, Bench, in_force

CORPUS = records(CODEC)
OUR_HEADERS_BYTES = 20_000


def guard(dead_letter_bytes: int = DEAD_LETTER_BYTES_AT_MOST) -> Guard:
    handlers = Ingest(in_force(compiled()), lambda: NOW)
    Bench(handlers)
    policy = WorkerPolicy({}, "t.", 1, "w0", clock=lambda: NOW, dead_letter_bytes=dead_letter_bytes)
    return Guard("ingest", tuple(Route(route.topic, route.handler) for route in handlers.routes()), CODEC, policy)


def test_names_are_unique() -> None:
    assert len({record.name for record in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("dead_letter_bytes", [200_000, DEAD_LETTER_BYTES_AT_MOST])
@pytest.mark.parametrize("record", CORPUS, ids=lambda record: record.name)
async def test_each_ends_in_its_lane_and_within_bounds(record: HostileRecord, dead_letter_bytes: int) -> None:
    came = arrival(TP("t.ingest", 0), 17, record.key, record.value, record.headers)
    changes = await ended(guard(dead_letter_bytes), came)
    letters = [message for message in changes.messages if message.topic == "t.ingest.dlq"]
    if record.lane == EVENT:
        assert not letters
        assert changes.messages
    else:
        [letter] = letters
        about = CODEC.decode(DeadLetter, dict(letter.headers)[CONTEXT_HEADER])
        assert about.error == record.lane
        original = Original(record.key, record.value, record.headers)
        carried = Original(letter.key, letter.value, original_headers(about, letter.headers))
        assert about.truncated == (carried != original)
        if about.truncated:
            assert about.sha256 == digest(original)
            assert about.size_bytes == len(record.value or b"")
            assert [kept.original for kept in changes.oversized] == [original]
    for message in changes.messages:
        size = len(message.key or b"") + len(message.value or b"") + size_of_headers(message.headers)
        if message.topic == "t.ingest.dlq":
            assert size <= dead_letter_bytes + OUR_HEADERS_BYTES
        else:
            assert len(message.key or b"") <= KEY_BYTES_AT_MOST
    audits = [CODEC.decode(AuditRecord, message.value) for message in changes.messages if message.topic == "t.audit"]
    assert audits


def test_what_stands_for_records_that_cannot_be_read_is_one_letter_by_their_place() -> None:
    came = arrival(TP("t.ingest", 0), 17, None, None)._replace(records=5, unreadable="it is too large unpacked")
    changes = handled(guard(), came)
    letter, _audit = changes.messages
    about = CODEC.decode(DeadLetter, dict(letter.headers)[CONTEXT_HEADER])
    assert (about.error, about.message) == ("Unreadable", "it is too large unpacked")
    assert (about.offset, about.records, about.truncated, about.sha256) == (17, 5, True, None)
    assert changes.oversized == [], "there are no bytes to keep"


@pytest.mark.parametrize("timestamp_ms", [2**63 - 1, -(2**63), 0, -1])
def test_any_time_that_a_producer_writes_is_carried(timestamp_ms: int) -> None:
    came = arrival(TP("t.ingest", 0), 17, b"k", b"bad")._replace(timestamp=timestamp_ms / 1000)
    letter, _audit = handled(guard(), came).messages
    about = CODEC.decode(DeadLetter, dict(letter.headers)[CONTEXT_HEADER])
    assert abs(about.timestamp_ms - timestamp_ms) < 2048, "as precise as a float is"


def test_the_corpus_goes_on_with_ingest() -> None:
    assert INGEST.value_bytes < DEAD_LETTER_BYTES_AT_MOST
