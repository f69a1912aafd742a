"""A record in quarantine still says which case it was about, if its bytes can be decoded."""

from typing import Any

import pytest
from faust.types import TP

from nightdesk.messaging.partitions import partition_of
from nightdesk.processors.endings import AuditLine, CaseEnding, EventKey
from nightdesk.schemas.codec import RegistryUnavailable
from nightdesk.schemas.dead_letters import CONTEXT_HEADER
from nightdesk.schemas.records import AuditRecord, Case, DeadLetter, Decision, Event, Record
from nightdesk.schemas.topics import ACT, DECIDE, INGEST, Topic
from nightdesk.streams.api import Delivery, Route, StagedWrites
from nightdesk.streams.runtime.handling import quarantined
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.policy import WorkerPolicy
from tests.schemas.samples import SAMPLES
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.runtime.arrivals import arrival

CODEC = local_codec()
PARTITIONS = 4
DECISION = next(sample for sample in SAMPLES if isinstance(sample, Decision))
CASE = DECISION.case
EVENT = next(sample for sample in SAMPLES if isinstance(sample, Event))


def _ends_the_process(_delivery: Delivery[Any], _writes: StagedWrites) -> None:
    raise AssertionError("a record in quarantine is not handled")


def _guard(topic: Topic) -> Guard:
    return Guard("x", (Route(topic, _ends_the_process),), CODEC, WorkerPolicy({}, "t.", PARTITIONS, "w0"))


def _came(topic: Topic, value: bytes, subject: str) -> RawEvent:
    key = subject.encode()
    return arrival(TP(f"t.{topic.name}", partition_of(key, PARTITIONS)), 17, key, value)


async def _set_aside(topic: Topic, came: RawEvent) -> tuple[StagedWrites, DeadLetter, AuditRecord]:
    guard = _guard(topic)
    writes = guard.quarantine(came, await guard.read(came))
    letter = CODEC.decode(DeadLetter, dict(writes.messages[0].headers)[CONTEXT_HEADER])
    return writes, letter, CODEC.decode(AuditRecord, writes.messages[1].value)


@pytest.mark.parametrize(("topic", "record"), [(DECIDE, CASE), (ACT, DECISION)])
async def test_the_case_of_a_record_in_quarantine_is_in_the_dead_letters(topic: Topic, record: Case | Decision) -> None:
    writes, letter, audited = await _set_aside(topic, _came(topic, CODEC.encode(record), CASE.event.subject))
    assert (letter.kind, letter.case_id, letter.subject) == ("quarantined", CASE.case_id, CASE.event.subject)
    assert (audited.case_id, audited.agent, audited.subject) == (CASE.case_id, CASE.agent, CASE.event.subject)
    assert (audited.event_id, audited.step, audited.status) == (CASE.event.id, CASE.step, "failed")
    assert "waits for a person" in audited.reason
    ending = CaseEnding(EventKey(audited.subject, audited.event_source, audited.event_id))
    ending.add(AuditLine(**{name: getattr(audited, name) for name in AuditLine._fields}))
    assert ending.ended == "dead_letter"
    assert [message.topic for message in writes.messages] == [f"t.{topic.dlq}", "t.audit"], "and no word to the ledger"


async def test_what_a_second_process_does_not_decode_any_more_is_one_letter_and_another_audit_record() -> None:
    """A process that exits before its commit leaves both, and audit records with one id are equal."""
    came, guard = _came(DECIDE, CODEC.encode(CASE), CASE.event.subject), _guard(DECIDE)
    records = [await guard.read(came), None]
    audited = [guard.quarantine(came, record).audited[0] for record in records]
    letters = {DeadLetter.model_validate_json(record.detail).dead_letter_id for record in audited}
    assert (len(letters), len({record.record_id for record in audited})) == (1, 2)


async def test_an_event_in_quarantine_is_named() -> None:
    _, letter, audited = await _set_aside(INGEST, _came(INGEST, CODEC.encode(EVENT), EVENT.subject))
    assert (letter.subject, audited.event_id, audited.event_source) == (EVENT.subject, EVENT.id, EVENT.source)


VALUE = CODEC.encode(CASE)
COMES = _came(DECIDE, VALUE, CASE.event.subject)
ELSEWHERE = TP("t.decide", (COMES.partition + 1) % PARTITIONS)


@pytest.mark.parametrize(
    "came",
    [
        COMES._replace(value=None),
        COMES._replace(value=VALUE[:-3]),
        COMES._replace(value=VALUE + bytes(5_000_000)),
        COMES._replace(unreadable="a batch that cannot be unpacked"),
        COMES._replace(tp=ELSEWHERE),  # no stage of ours put it there, so it says nothing about the case
        COMES._replace(key=b"another"),
    ],
)
async def test_bytes_that_say_nothing_are_set_aside_as_they_are(came: RawEvent) -> None:
    writes, letter, audited = await _set_aside(DECIDE, came)
    assert (letter.kind, letter.case_id, audited.case_id) == ("quarantined", None, None)
    assert "without being decoded" in audited.reason
    assert letter.truncated or writes.messages[0].value == came.value


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError(), KeyError("x")])
async def test_a_fault_of_decoding_ends_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(_kind: type[Record], _payload: bytes) -> Record:
        raise error

    guard = _guard(DECIDE)
    monkeypatch.setattr(guard._codec, "decode", fails)
    assert await guard.read(COMES) is None


async def test_a_registry_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The case is named when it is back: the process exits as for any record, and the note is removed."""

    async def away(_payload: bytes) -> None:
        raise RegistryUnavailable("away")

    def end(code: int, _reason: str) -> None:
        raise SystemExit(code)

    codec = local_codec()
    monkeypatch.setattr(codec, "must_ask", lambda _payload: True)
    monkeypatch.setattr(codec, "ask", away)
    monkeypatch.setattr(quarantined, "fail_stop", end)
    with pytest.raises(SystemExit) as ended:
        await quarantined.read(COMES, DECIDE, codec, PARTITIONS)
    assert ended.value.code == 74
