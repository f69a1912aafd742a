"""Audit records as the stages write them, for the tests of the views and of what reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client
from pydantic import BaseModel

from nightdesk.schemas import ids
from nightdesk.schemas.audit import ActionDetail, DecisionDetail
from nightdesk.schemas.question_detail import QuestionDetail
from nightdesk.schemas.records import AuditRecord, DeadLetter, Fallback, StepOutcome, Verdict
from nightdesk.sinks.audit.table import AuditTable, InsertSlice

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
AGENT = "support-triage"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def record(kind: str, seconds: float, detail: Any = None, **fields: Any) -> AuditRecord:
    """A record about event `evt-1` of `ticket-1`; its id follows from its content unless one is given. Every case was
    opened at the start.
    """
    given = {
        "subject": "ticket-1",
        "event_id": "evt-1",
        "event_source": "shop/helpdesk",
        "event_type": "ticket.created",
    }
    given |= fields
    own_id = ids.record_id(kind, given["event_id"], str(given.get("case_id")), str(given.get("step", 0)), str(seconds))
    return AuditRecord.model_validate(
        {
            "record_id": own_id,
            "kind": kind,
            "time": at(seconds),
            "status": "running",
            "detail": detail.model_dump_json() if isinstance(detail, BaseModel) else json.dumps(detail),
            "case_at": START if fields.get("case_id") else fields.get("time", at(seconds)),
            **given,
        }
    )


def of_case(event_id: str = "evt-1", agent: str = AGENT) -> dict[str, Any]:
    case_id = ids.case_id(agent, "shop/helpdesk", event_id, "ticket-1")
    return {"event_id": event_id, "case_id": case_id, "agent": agent, "charter_version": "v1"}


def outcome(position: int, status: str = "done", **fields: Any) -> StepOutcome:
    given = {"step_id": f"step-{position}", "handler": "reply.send", "result": f'{{"id":{position}}}'}
    return StepOutcome.model_validate(
        {"position": position, "status": status, "started_at": at(3), "latency_ms": 12, **given, **fields}
    )


def question(**fields: Any) -> QuestionDetail:
    given = {"attempt": 0, "prompt": "Where is it?", "prompt_sha256": "b" * 64, "answered": True, "reply": "{}"}
    return QuestionDetail.model_validate({**given, "cost_microusd": 700, "input_tokens": 90, **fields})


def decided(seconds: float, step: int = 0, **fields: Any) -> AuditRecord:
    case = of_case(fields.pop("event_id", "evt-1"))
    detail = DecisionDetail(
        kind="respond",
        parameters='{"text":"It leaves tomorrow."}',
        reasoning="The customer asks where the parcel is.",
        verdicts=(Verdict(rule="refund-cap", passed=True),),
        fallbacks=(Fallback(provider="anthropic", reason="overloaded", called=True),),
        prompt_sha256="a" * 64,
        reserved_microusd=20_000,
        **fields.pop("measures", {}),
    )
    given = {
        "step": step,
        "decision_id": ids.decision_id(case["case_id"], step),
        "action": "respond",
        "confidence": 0.9,
        "disposition": "execute",
        "provider": "openai-compatible",
        "model": "local-7b",
        "input_tokens": 100,
        "output_tokens": 20,
        "cost_microusd": 4_200,
        "latency_ms": 800,
    }
    return record("decided", seconds, detail, **case, **{**given, **fields})


def acted(
    seconds: float, status: str, step: int = 0, outcomes: Sequence[StepOutcome] = (), **fields: Any
) -> AuditRecord:
    case = of_case(fields.pop("event_id", "evt-1"))
    decision_id = ids.decision_id(case["case_id"], step)
    detail = ActionDetail(outcomes=tuple(outcomes))
    return record(
        "acted", seconds, detail, step=step, status=status, action="respond", decision_id=decision_id, **case, **fields
    )


def dead_letter(seconds: float, **fields: Any) -> AuditRecord:
    about = {"dead_letter_id": "dl-1", "stage": "act", "topic": "act", "partition": 1, "offset": 7, "error": "Boom",
             "message": "it broke", "program_version": "0.1.0", "time": at(seconds),
             "timestamp_ms": 0, "traceback": ""}  # fmt: skip
    detail = DeadLetter.model_validate(about | fields.pop("detail", {}))
    return record("dead_letter", seconds, detail, **{"status": "failed", "reason": "act: Boom: it broke", **fields})


def land(client: Client, *records: AuditRecord, first: int = 0, partition: int = 0, topic: str = "test.audit") -> None:
    offsets = range(first, first + len(records))
    AuditTable(lambda: client).insert([InsertSlice(topic, partition, records, offsets)])


def parts(client: Client) -> int:
    """The number of parts that inserts created, without those that merges created."""
    where = "database = currentDatabase() AND table = 'audit_records' AND min_block_number = max_block_number"
    return int(client.query(f"SELECT count() FROM system.parts WHERE {where}").result_rows[0][0])
