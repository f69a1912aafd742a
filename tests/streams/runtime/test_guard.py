"""However a record fails, it ends: as writes, as a complete dead letter, or with the end of the process before the
commit.
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

import pytest
from faust.types import TP

from nightdesk.messaging.partitions import partition_of
from nightdesk.messaging.producer import Headers, Message
from nightdesk.processors.provenance import Forged
from nightdesk.schemas.codec import Codec, UnknownSchema
from nightdesk.schemas.dead_letters import (
    ATTEMPTS_HEADER,
    CONTEXT_HEADER,
    REPLAY_HEADER,
    original_headers,
    replay_headers,
)
from nightdesk.schemas.records import AuditKind, AuditRecord, BudgetEntry, Case, DeadLetter, Event
from nightdesk.schemas.topics import AUDIT, DECIDE, INGEST
from nightdesk.streams.api import Delivery, Route, StagedWrites, async_handler
from nightdesk.streams.runtime.handling.delivery import TRACEPARENT
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.processors.examples import case, compiled
from tests.streams.audit_samples import audit_record
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.fault_injection.events import event
from tests.streams.runtime.arrivals import arrival, ended, handled

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CODEC = local_codec()
ROOT = Path(__file__).parents[3]


def _guard(handler: Callable[[Delivery[Any], StagedWrites], Any]) -> Guard:
    return Guard("ingest", (Route(INGEST, handler),), CODEC, WorkerPolicy({}, "t.", 4, "w0", clock=lambda: NOW))


def _came(value: bytes | None, headers: Headers = (), key: bytes | None = b"s-1") -> Any:
    return arrival(TP("t.ingest", 3), 17, key, value, headers)


def _run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def _says(delivery: Delivery[Event], writes: StagedWrites) -> None:
    writes.send(INGEST, delivery.record.subject, delivery.record.id.encode())


def _fails_after_speaking(delivery: Delivery[Event], writes: StagedWrites) -> None:
    _says(delivery, writes)
    raise ZeroDivisionError("the handler's own mistake")


def _letter(message: Message) -> DeadLetter:
    return CODEC.decode(DeadLetter, dict(message.headers)[CONTEXT_HEADER])


def test_a_good_record_becomes_what_its_handler_says() -> None:
    writes = handled(_guard(_says), _came(CODEC.encode(event(1, "s-1")), ((TRACEPARENT, TRACE),)))
    [message] = writes.messages
    assert (message.topic, message.key, message.value) == ("t.ingest", b"s-1", b"e-1")
    assert message.headers == ((TRACEPARENT, TRACE),)
    assert writes.partition == 3


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
async def test_what_cannot_be_read_becomes_a_whole_dead_letter(value: bytes | None) -> None:
    headers = (("x-own", b"\xff\x00"), (TRACEPARENT, TRACE))
    writes = await ended(_guard(_says), _came(value, headers))
    dead_lettered, audited = writes.messages
    assert (dead_lettered.topic, dead_lettered.key, dead_lettered.value) == ("t.ingest.dlq", b"s-1", value)
    assert ("x-own", b"\xff\x00") in dead_lettered.headers
    assert [header for header in dead_lettered.headers if header[0] == TRACEPARENT] == [(TRACEPARENT, TRACE)]
    assert dict(dead_lettered.headers)["__connect.errors.offset"] == b"17"
    assert dict(dead_lettered.headers)["__connect.errors.partition"] == b"3"
    letter = _letter(dead_lettered)
    assert (letter.stage, letter.topic, letter.partition, letter.offset) == ("ingest", "ingest", 3, 17)
    record = CODEC.decode(AuditRecord, audited.value)
    assert (record.kind, record.status, record.subject) == ("dead_letter", "failed", "s-1")
    assert writes.puts == []


def test_a_handler_that_fails_half_way_leaves_nothing_but_the_dead_letter() -> None:
    value = CODEC.encode(event(1, "s-1"))
    writes = handled(_guard(_fails_after_speaking), _came(value))
    dead_lettered, audited = writes.messages
    assert (dead_lettered.topic, dead_lettered.value) == ("t.ingest.dlq", value)
    letter = _letter(dead_lettered)
    assert (letter.error, letter.message) == ("ZeroDivisionError", "the handler's own mistake")
    assert letter.attempted == "_fails_after_speaking"
    assert "_fails_after_speaking" in letter.traceback
    record = CODEC.decode(AuditRecord, audited.value)
    assert (record.event_id, record.event_source) == ("e-1", "storm")


async def test_an_async_handler_that_fails_makes_a_dead_letter_too() -> None:
    async def fails(delivery: Delivery[Event], writes: StagedWrites) -> None:
        _fails_after_speaking(delivery, writes)

    conversation = _guard(async_handler(fails)).handle(_came(CODEC.encode(event(1, "s-1"))))
    assert not isinstance(conversation, StagedWrites)
    writes = await conversation()
    assert [message.topic for message in writes.messages] == ["t.ingest.dlq", "t.audit"]


def test_the_same_bad_record_again_is_the_same_dead_letter() -> None:
    first, again = (handled(_guard(_says), _came(b"bad")) for _ in range(2))
    assert _letter(first.messages[0]).dead_letter_id == _letter(again.messages[0]).dead_letter_id
    assert first.messages[1].value == again.messages[1].value


def test_a_bad_record_at_the_same_offset_of_a_topic_that_was_made_anew_is_another_dead_letter() -> None:
    """Otherwise the first one's resolution would count for it, and nobody would ever see it."""
    came = _came(b"bad")
    letters = [handled(_guard(_says), came._replace(timestamp=came.timestamp + s)).messages[0] for s in (0.0, 0.001)]
    assert len({_letter(letter).dead_letter_id for letter in letters}) == 2


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
    dead_lettered, _ = handled(_guard(_says), _came(b"bad", headers)).messages
    assert original_headers(_letter(dead_lettered), dead_lettered.headers) == headers
    assert any(name == TRACEPARENT and value != b"no trace" for name, value in dead_lettered.headers)


def test_a_replay_that_fails_again_is_the_next_letter() -> None:
    first = _letter(handled(_guard(_says), _came(b"bad")).messages[0])
    headers = replay_headers(first, (("x-own", b"1"),))
    sent_again = [arrival(TP("t.ingest", 3), offset, b"s-1", b"bad", headers) for offset in (20, 21)]
    second, twice = (_letter(handled(_guard(_says), event).messages[0]) for event in sent_again)
    assert (first.attempts, second.attempts, second.replay_of) == (1, 2, first.dead_letter_id)
    assert first.dead_letter_id != second.dead_letter_id == twice.dead_letter_id
    assert _letter(handled(_guard(_says), _came(b"bad", replay_headers(second, ()))).messages[0]).attempts == 3


@pytest.mark.parametrize("attempts", [b"", b"-1", b"9" * 5000, b"\xff", "٣".encode()])
def test_a_forged_count_of_attempts_counts_as_one(attempts: bytes) -> None:
    headers = ((REPLAY_HEADER, b"\xff"), (ATTEMPTS_HEADER, attempts))
    assert _letter(handled(_guard(_says), _came(b"bad", headers)).messages[0]).attempts == 2


def test_the_dead_letter_of_a_record_without_a_key_has_none() -> None:
    dead_lettered, audited = handled(_guard(_says), _came(b"bad", key=None)).messages
    assert (dead_lettered.key, audited.key) == (None, b"")


@pytest.mark.parametrize("error", ["Unavailable('the model server')", "RegistryUnavailable('the registry')"])
def test_when_something_that_every_record_needs_is_away_the_process_ends(error: str) -> None:
    """And it says so. The record is not at fault, so it is neither a dead letter nor done."""
    program = dedent(
        f"""
        from tests.streams.runtime.test_guard import CODEC, _came, _guard, event, handled
        from nightdesk.schemas.codec import RegistryUnavailable
        from nightdesk.streams.runtime.handling.guard import Unavailable

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


def _failing(delivery: Delivery[Event], writes: StagedWrites) -> None:
    if delivery.record.source == "broken":
        raise ZeroDivisionError("the handler's own mistake")


@pytest.mark.parametrize("value", [b'{"id": "1"}', b"\x00\x00\x00\x03\xe7rest", CODEC.encode(event(1, "s"))[:-3], None])
async def test_one_misconfigured_producer_stops_nobody_and_is_named(value: bytes | None) -> None:
    """150 unreadable records become 150 dead letters, and the next record is handled."""
    guard = _guard(_says)
    letters = [_letter((await ended(guard, _came(value))).messages[0]) for _ in range(150)]
    assert not guard.pause.is_on
    assert len({letter.origin for letter in letters}) == 1
    assert letters[0].origin
    [said] = handled(guard, _came(CODEC.encode(event(1, "s-1")))).messages
    assert said.value == b"e-1"


def test_handlers_that_fail_at_everything_pause_the_stage_until_one_record_is_done() -> None:
    guard = _guard(_failing)
    broken = CODEC.encode(event(1, "s-1").model_copy(update={"source": "broken"}))
    for _ in range(100):
        handled(guard, _came(broken, ((REPLAY_HEADER, b"somebody's"),)))
    assert not guard.pause.is_on, "what a person sent again does not count"
    for _ in range(50):
        assert _letter(handled(guard, _came(broken)).messages[0]).origin == "source broken"
    paused = guard.pause.is_on
    handled(guard, _came(CODEC.encode(event(1, "s-1"))))
    assert (paused, guard.pause.is_on) == (True, False)


def test_one_source_whose_events_break_the_handler_does_not_pause_the_others() -> None:
    guard = _guard(_failing)
    broken = CODEC.encode(event(1, "s-1").model_copy(update={"source": "broken"}))
    for _ in range(60):
        handled(guard, _came(CODEC.encode(event(1, "s-1"))))
    for _ in range(500):
        handled(guard, _came(broken))
        handled(guard, _came(broken))
        handled(guard, _came(CODEC.encode(event(1, "s-1"))))
    assert not guard.pause.is_on


@pytest.mark.parametrize(
    ("headers", "value", "origin"),
    [
        ((("ce_source", b"shop/\xff"),), b"bad", "ce_source shop/\ufffd"),
        ((("client.id", b"c" * 5000),), b"bad", "client.id " + "c" * 190),
        ((), b"bad", "not Avro: begins with 0x62"),
        ((), b"\x00\x00\x00\x03\xe7rest", "schema 999"),
        ((), None, "no value"),
        ((), CODEC.encode(event(1, "s")), "source storm"),
    ],
)
async def test_a_letter_says_what_can_be_told_of_the_producer(
    headers: Headers, value: bytes | None, origin: str
) -> None:
    writes = await ended(_guard(_fails_after_speaking), _came(value, headers))
    assert _letter(writes.messages[0]).origin == origin


def _waiting_guard(known: dict[str, bool], wait: Callable[[], Any]) -> Guard:
    def waits_for(record: Event, partition: int) -> Callable[[], Any] | None:
        return None if known.get(record.subject) else wait

    route = Route(INGEST, _says, None, waits_for)
    return Guard("ingest", (route,), CODEC, WorkerPolicy({}, "t.", 1, "w0", clock=lambda: NOW))


def _waiting(guard: Guard, number: int, subject: str) -> Any:
    key, value = subject.encode(), CODEC.encode(event(number, subject))
    return guard.handle(arrival(TP("t.ingest", 0), number, key, value, ()))


async def test_what_a_record_needs_is_waited_for_while_others_go_on() -> None:
    here = asyncio.Event()
    guard = _waiting_guard({"s-2": True}, here.wait)
    answer = _waiting(guard, 1, "s-1")
    assert not isinstance(answer, StagedWrites), "nothing may be waited for on the loop"
    waiting = asyncio.ensure_future(answer())
    await asyncio.sleep(0)
    assert isinstance(_waiting(guard, 2, "s-2"), StagedWrites)
    assert not waiting.done()
    here.set()
    assert [message.value for message in (await waiting).messages] == [b"e-1"]


async def test_a_record_is_waited_for_once_and_then_handled_with_what_there_is() -> None:
    waits = 0

    async def wait() -> None:
        nonlocal waits
        waits += 1

    writes = await _waiting(_waiting_guard({}, wait), 1, "s-1")()
    assert (waits, len(writes.messages)) == (1, 1)


async def test_the_registry_is_never_asked_on_the_loop() -> None:
    asked_by: list[threading.Thread] = []

    def fetch(schema_id: int) -> dict[str, Any]:
        asked_by.append(threading.current_thread())
        raise UnknownSchema(f"schema {schema_id} is not known")

    codec = Codec({Event: 1, DeadLetter: 2, AuditRecord: 3}, fetch)
    guard = Guard("ingest", (Route(INGEST, _says),), codec, WorkerPolicy({}, "t.", 1, "w0", clock=lambda: NOW))
    raw = arrival(TP("t.ingest", 0), 1, b"s", b"\0\0\0\0\x63" + b"x" * 9, ())
    answer = guard.handle(raw)
    assert not isinstance(answer, StagedWrites)
    assert (await answer()).messages
    assert len(asked_by) == 1
    assert threading.main_thread() not in asked_by
    assert isinstance(guard.handle(raw), StagedWrites), "what was refused a moment ago is refused at once"


@pytest.mark.parametrize(
    ("error", "partition", "counts"),
    [(ValueError("a mistake"), 0, True), (Forged("none of ours"), 0, False), (ValueError("a mistake"), 1, False)],
)
def test_a_letter_counts_as_a_failure_of_its_case_only_if_a_stage_of_ours_can_have_written_the_record(
    error: Exception, partition: int, counts: bool
) -> None:
    def fails(delivery: Delivery[Case], writes: StagedWrites) -> None:
        raise error

    record = case(compiled())
    guard = Guard("decide", (Route(DECIDE, fails),), CODEC, WorkerPolicy({}, "t.", 4, "w0", clock=lambda: NOW))
    home = partition_of(record.subject.encode(), 4)
    tp = TP("t.decide", (home + partition) % 4)
    headers = ((REPLAY_HEADER, b"dl-0"), (ATTEMPTS_HEADER, b"3"), (CONTEXT_HEADER, b"x"))
    writes = handled(guard, arrival(tp, 17, record.subject.encode(), CODEC.encode(record), headers))
    entries = [CODEC.decode(BudgetEntry, message.value) for message in writes.messages if message.topic == "t.budget"]
    assert [(entry.kind, entry.failed) for entry in entries] == ([("ended", True)] if counts else [])
    assert [message.topic for message in writes.messages][:2] == ["t.decide.dlq", "t.audit"]


def test_the_audit_record_of_a_letter_lies_under_its_own_key() -> None:
    """A reader that checks keys would make a letter of it, and a record of that letter, and so on for ever."""
    for key in (None, b"", b"\xff", b"s-1"):
        writes = handled(_guard(_says), _came(b"unreadable", key=key))
        [message] = [message for message in writes.messages if message.topic == "t.audit"]
        assert message.key == CODEC.decode(AuditRecord, message.value).subject.encode()


@pytest.mark.parametrize("value", [b"unreadable", CODEC.encode(event(1, "s-1"))])
def test_a_reader_of_the_audit_adds_nothing_to_the_audit(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    def fails(delivery: Delivery[AuditRecord], writes: StagedWrites) -> None:
        raise RuntimeError("a fault of ours")

    route = Route(AUDIT, fails, makes_dead_letters=False)
    guard = Guard("notify", (route,), CODEC, WorkerPolicy({}, "t.", 4, "w0", clock=lambda: NOW))
    writes = handled(guard, arrival(TP("t.audit", 3), 17, b"s-1", value))
    assert writes.messages == []
    assert "is skipped at 3:17" in caplog.text


def _audit_guard(kinds: frozenset[AuditKind], handler: Callable[[Delivery[Any], StagedWrites], Any]) -> Guard:
    route = Route(AUDIT, handler, makes_dead_letters=False, audit_kinds=kinds)
    return Guard("notify", (route,), CODEC, WorkerPolicy({}, "t.", 4, "w0", clock=lambda: NOW))


@pytest.mark.parametrize("kind", get_args(AuditKind))
def test_only_audit_records_of_the_kinds_that_are_needed_reach_the_handler(kind: AuditKind) -> None:
    reached: list[str] = []
    guard = _audit_guard(
        frozenset({"decided", "dead_letter"}), lambda delivery, _: reached.append(delivery.record.kind)
    )
    payload = CODEC.encode(audit_record(kind, "running"))
    assert handled(guard, arrival(TP("t.audit", 3), 17, b"ticket-7", payload)).messages == []
    assert reached == ([kind] if kind in ("decided", "dead_letter") else [])


@pytest.mark.parametrize("record_id", ["", "r", "r" * 63, "r" * 64, "é" * 40, "r" * 200])
def test_the_kind_of_an_audit_record_is_read_without_the_rest(record_id: str) -> None:
    """Or is not read, because the record's id is longer than ours are."""
    payload = CODEC.encode(audit_record("decided", "running", record_id=record_id))
    expected = "decided" if len(record_id.encode()) < 64 else None
    assert CODEC.audit_kind(payload) == expected
    assert CODEC.audit_kind(payload[:8]) is None


def test_the_kind_is_read_only_of_records_that_our_own_schema_wrote() -> None:
    payload = CODEC.encode(audit_record("decided", "running"))
    other = payload[:4] + bytes([payload[4] + 1]) + payload[5:]
    for foreign in (None, b"", payload[:3], payload[:5], other, CODEC.encode(event(1, "s-1"))):
        assert CODEC.audit_kind(foreign) is None
    assert Codec({}, lambda _: {}).audit_kind(payload) is None
