"""However a record fails, it ends: as changes, as a dead letter that is whole, or with the process and uncommitted."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from faust.types import TP

from schemas.dead_letters import ATTEMPTS_HEADER, CONTEXT_HEADER, REPLAY_HEADER, original_headers, replay_headers
from schemas.records import AuditRecord, DeadLetter, Event
from schemas.topics import INGEST
from streams.runtime.changes import Changes
from streams.runtime.delivery import TRACEPARENT, Delivery
from streams.runtime.fail_stop import ExitCode
from streams.runtime.guard import Guard, Route, conversing
from streams.runtime.policy import WorkerPolicy
from streams.runtime.producer import Headers, Message
from tests.streams.runtime.arrivals import arrival, handled
from tests.streams.storm.conversation import local_codec
from tests.streams.storm.events import event

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CODEC = local_codec()
ROOT = Path(__file__).parents[3]


def _guard(handler: Callable[[Delivery[Any], Changes], Any]) -> Guard:
    return Guard("ingest", (Route(INGEST, handler),), CODEC, WorkerPolicy({}, "t.", 4, "w0", clock=lambda: NOW))


def _came(value: bytes | None, headers: Headers = (), key: bytes | None = b"s-1") -> Any:
    return arrival(TP("t.ingest", 2), 17, key, value, headers)


def _run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def _says(delivery: Delivery[Event], changes: Changes) -> None:
    changes.send(INGEST, delivery.record.subject, delivery.record.id.encode())


def _fails_after_speaking(delivery: Delivery[Event], changes: Changes) -> None:
    _says(delivery, changes)
    raise ZeroDivisionError("the handler's own mistake")


def _letter(message: Message) -> DeadLetter:
    return CODEC.decode(DeadLetter, dict(message.headers)[CONTEXT_HEADER])


def test_a_good_record_becomes_what_its_handler_says() -> None:
    changes = handled(_guard(_says), _came(CODEC.encode(event(1, "s-1")), ((TRACEPARENT, TRACE),)))
    [message] = changes.messages
    assert (message.topic, message.key, message.value) == ("t.ingest", b"s-1", b"e-1")
    assert message.headers == ((TRACEPARENT, TRACE),)
    assert changes.partition == 2


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"not avro",
        b"\x00",
        b"\x00\x00\x00\x00\x01",
        b"\x00\x00\x00\x03\xe7" + b"x" * 20,
        CODEC.encode(event(1, "s"))[:-3],
        CODEC.encode(event(1, "s")) + b"!",
        b"\x00\x00\x00\x00\x01" + b"\xff" * 50,
    ],
)
def test_what_cannot_be_read_is_buried_whole(value: bytes | None) -> None:
    headers = (("x-own", b"\xff\x00"), (TRACEPARENT, TRACE))
    changes = handled(_guard(_says), _came(value, headers))
    buried, audited = changes.messages
    assert (buried.topic, buried.key, buried.value) == ("t.ingest.dlq", b"s-1", value)
    assert ("x-own", b"\xff\x00") in buried.headers
    assert [header for header in buried.headers if header[0] == TRACEPARENT] == [(TRACEPARENT, TRACE)]
    assert dict(buried.headers)["__connect.errors.offset"] == b"17"
    assert dict(buried.headers)["__connect.errors.partition"] == b"2"
    letter = _letter(buried)
    assert (letter.stage, letter.topic, letter.partition, letter.offset) == ("ingest", "ingest", 2, 17)
    record = CODEC.decode(AuditRecord, audited.value)
    assert (record.kind, record.status, record.subject) == ("dead_letter", "failed", "s-1")
    assert changes.puts == []


def test_a_handler_that_fails_half_way_leaves_nothing_but_the_dead_letter() -> None:
    value = CODEC.encode(event(1, "s-1"))
    changes = handled(_guard(_fails_after_speaking), _came(value))
    buried, audited = changes.messages
    assert (buried.topic, buried.value) == ("t.ingest.dlq", value)
    letter = _letter(buried)
    assert (letter.error, letter.message) == ("ZeroDivisionError", "the handler's own mistake")
    assert letter.attempted == "_fails_after_speaking"
    assert "_fails_after_speaking" in letter.traceback
    record = CODEC.decode(AuditRecord, audited.value)
    assert (record.event_id, record.event_source) == ("e-1", "storm")


async def test_a_conversation_that_fails_is_buried_too() -> None:
    async def fails(delivery: Delivery[Event], changes: Changes) -> None:
        _fails_after_speaking(delivery, changes)

    conversation = _guard(conversing(fails)).handle(_came(CODEC.encode(event(1, "s-1"))))
    assert not isinstance(conversation, Changes)
    changes = await conversation()
    assert [message.topic for message in changes.messages] == ["t.ingest.dlq", "t.audit"]


def test_the_same_bad_record_again_is_the_same_dead_letter() -> None:
    first, again = (handled(_guard(_says), _came(b"bad")) for _ in range(2))
    assert _letter(first.messages[0]).dead_letter_id == _letter(again.messages[0]).dead_letter_id
    assert first.messages[1].value == again.messages[1].value


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("x-own", b"\xff\x00"), ("x-own", b"twice")),
        ((TRACEPARENT, TRACE), ("x-own", b"")),
        ((TRACEPARENT, b"no trace"),),
        (("__connect.errors.topic", b"theirs"), (CONTEXT_HEADER, b"forged"), (REPLAY_HEADER, b"")),
    ],
)
def test_the_headers_that_it_came_with_can_be_told_from_ours(headers: Headers) -> None:
    buried, _ = handled(_guard(_says), _came(b"bad", headers)).messages
    assert original_headers(_letter(buried), buried.headers) == headers
    assert any(name == TRACEPARENT and value != b"no trace" for name, value in buried.headers)


def test_a_replay_that_fails_again_is_the_next_letter() -> None:
    first = _letter(handled(_guard(_says), _came(b"bad")).messages[0])
    headers = replay_headers(first, (("x-own", b"1"),))
    sent_again = [arrival(TP("t.ingest", 2), offset, b"s-1", b"bad", headers) for offset in (20, 21)]
    second, twice = (_letter(handled(_guard(_says), event).messages[0]) for event in sent_again)
    assert (first.attempts, second.attempts, second.replay_of) == (1, 2, first.dead_letter_id)
    assert first.dead_letter_id != second.dead_letter_id == twice.dead_letter_id
    assert _letter(handled(_guard(_says), _came(b"bad", replay_headers(second, ()))).messages[0]).attempts == 3


@pytest.mark.parametrize("attempts", [b"", b"-1", b"9" * 5000, b"\xff", "٣".encode()])
def test_a_forged_count_of_attempts_counts_as_one(attempts: bytes) -> None:
    headers = ((REPLAY_HEADER, b"\xff"), (ATTEMPTS_HEADER, attempts))
    assert _letter(handled(_guard(_says), _came(b"bad", headers)).messages[0]).attempts == 2


def test_a_record_without_a_key_is_buried_without_one() -> None:
    buried, audited = handled(_guard(_says), _came(b"bad", key=None)).messages
    assert (buried.key, audited.key) == (None, None)


@pytest.mark.parametrize("error", ["Unavailable('the model server')", "RegistryUnavailable('the registry')"])
def test_when_something_that_every_record_needs_is_away_the_process_ends(error: str) -> None:
    """And says so: the record is not at fault, so it is neither buried nor done."""
    program = dedent(
        f"""
        from tests.streams.runtime.test_guard import CODEC, _came, _guard, event, handled
        from schemas.codec import RegistryUnavailable
        from streams.runtime.guard import Unavailable

        def away(delivery, changes):
            raise {error}

        handled(_guard(away), _came(CODEC.encode(event(1, "s-1"))))
        print("went on")
        """
    )
    ended = _run(program)
    assert ended.returncode == ExitCode.UNAVAILABLE, ended.stderr
    assert ended.stdout == ""
    assert "stopping: the " in ended.stderr


@pytest.mark.parametrize(("good", "bad", "ends"), [(0, 49, False), (0, 50, True), (25, 25, False), (24, 26, True)])
def test_too_many_dead_letters_stop_the_stage(good: int, bad: int, ends: bool) -> None:
    """At exactly the bound, and with what to do. Letters that a person sent again do not count."""
    program = dedent(
        f"""
        from tests.streams.runtime.test_guard import CODEC, REPLAY_HEADER, _came, _guard, _says, event, handled

        guard = _guard(_says)
        for _ in range({good}):
            handled(guard, _came(CODEC.encode(event(1, "s-1"))))
        for _ in range(100):
            handled(guard, _came(b"bad", ((REPLAY_HEADER, b"somebody's"),)))
        for _ in range({bad}):
            handled(guard, _came(b"bad"))
        print("went on")
        """
    )
    ended = _run(program)
    assert (ended.returncode, ended.stdout) == ((76, "") if ends else (0, "went on\n")), ended.stderr
    if ends:
        assert f"{bad} of the last 50 records became dead letters" in ended.stderr
        assert "NIGHTDESK_WORKER__DEAD_LETTER_RATIO=1" in ended.stderr
