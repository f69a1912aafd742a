"""The id of an audit record is that of what it says: the same words again are one record, other words another."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from nightdesk.schemas.audit_records import dead_lettered, ended, not_released, queued, undecided
from nightdesk.schemas.dead_letters import lost
from nightdesk.schemas.records import AuditRecord, DeadLetterEnd
from tests.processors.examples import NOW, case, compiled
from tests.streams.stages.stage_harness import TRACE
from tests.streams.stages.world import decision

CASE = case(compiled())
PLACE = "act:0:7"


@dataclass(frozen=True)
class Waiting:
    """Why something waits, and until when."""

    reason: str
    due_at: datetime = NOW


def _queued(wait: Waiting) -> AuditRecord:
    return queued(decision(CASE), wait, PLACE, TRACE, NOW)


def _undecided(wait: Waiting) -> AuditRecord:
    return undecided(CASE, wait.reason, wait.due_at, TRACE, NOW)


@pytest.mark.parametrize("say", [_queued, _undecided])
def test_one_delivery_that_waits_for_two_things_has_two_records(say: Callable[[Waiting], AuditRecord]) -> None:
    busy, away = Waiting("again: 503"), Waiting("again: desk is away")
    assert say(busy).record_id != say(away).record_id
    assert say(busy).record_id == say(replace(busy, due_at=NOW + timedelta(seconds=9))).record_id


@pytest.mark.parametrize(("key", "subject"), [(b"t-1", "t-1"), (b"\xff", "\ufffd"), (None, "")])
def test_what_released_nothing_is_told_with_its_place(key: bytes | None, subject: str) -> None:
    record = not_released("letter-1", "a replay", key, ("act", 3, 9), NOW)
    assert (record.kind, record.status, record.subject) == ("ignored", "ignored", subject)
    assert json.loads(record.detail) == {"dead_letter_id": "letter-1", "at": "act:3:9"}
    assert record.reason.startswith("a replay of dead letter letter-1 without its release token")
    others = [not_released("letter-1", "a replay", key, place, NOW) for place in (("act", 3, 8), ("act", 2, 9))]
    assert len({record.record_id, *(other.record_id for other in others)}) == 3


@pytest.mark.parametrize(
    ("topic", "error", "is_named"),
    [
        ("act", "Forged", False),
        ("act", "WrongPartition", False),
        ("act", "TimeoutError", True),
        ("ingest", "WrongPartition", True),
    ],
)
def test_a_record_that_is_not_ours_ends_no_case_that_it_names(topic: str, error: str, is_named: bool) -> None:
    given = decision(CASE)
    letter = lost("act", topic, 3, (9, 10), NOW).model_copy(
        update={"error": error, "subject": CASE.subject, "case_id": CASE.case_id, "kind": "failed"}
    )
    end = DeadLetterEnd(dead_letter_id=letter.dead_letter_id, verdict="replayed", person="ada", reason="", time=NOW)
    for record in (dead_lettered(letter, given), ended(letter, given, end)):
        named = (record.case_id, record.decision_id, record.event_id, record.agent, record.case_at)
        assert any(named) == is_named
        assert record.subject == CASE.subject
