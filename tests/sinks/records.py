"""Audit records as the stages write them, for the tests of the views and of what is told from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client

from schemas import ids
from schemas.records import AuditRecord
from sinks.audit.table import AuditTable, Landing

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
AGENT = "support-triage"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def record(kind: str, seconds: float, detail: Any = None, **fields: Any) -> AuditRecord:
    """A line about event `evt-1` of `ticket-1`; its id follows from what it says unless one is given."""
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
            "detail": json.dumps(detail),
            **given,
        }
    )


def of_case(event_id: str = "evt-1", agent: str = AGENT) -> dict[str, Any]:
    case_id = ids.case_id(agent, "shop/helpdesk", event_id)
    return {"event_id": event_id, "case_id": case_id, "agent": agent, "charter_version": "v1"}


def outcome(position: int, status: str = "done", **fields: Any) -> dict[str, Any]:
    return {
        "step_id": f"step-{position}",
        "position": position,
        "handler": "reply.send",
        "status": status,
        "result": {"id": position},
        "error": None,
        "attempts": 1,
        "started_at": at(3).isoformat(),
        "latency_ms": 12,
        **fields,
    }


def decided(seconds: float, step: int = 0, **fields: Any) -> AuditRecord:
    case = of_case(fields.pop("event_id", "evt-1"))
    detail = {
        "kind": "respond",
        "parameters": {"text": "It leaves tomorrow."},
        "reasoning": "The customer asks where the parcel is.",
        "verdicts": [{"rule": "refund-cap", "passed": True, "reason": ""}],
        "fallbacks": [{"provider": "anthropic", "reason": "overloaded", "detail": ""}],
        "prompt_sha256": "a" * 64,
        "reserved_microusd": 20_000,
        "disposition_reason": "",
    }
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
    seconds: float, status: str, step: int = 0, outcomes: Sequence[dict[str, Any]] = (), **fields: Any
) -> AuditRecord:
    case = of_case(fields.pop("event_id", "evt-1"))
    decision_id = ids.decision_id(case["case_id"], step)
    detail = {"outcomes": list(outcomes)}
    return record(
        "acted", seconds, detail, step=step, status=status, action="respond", decision_id=decision_id, **case, **fields
    )


def dead_letter(seconds: float, **fields: Any) -> AuditRecord:
    detail = {"dead_letter_id": "dl-1", "stage": "act", "topic": "act", "partition": 1, "offset": 7, "error": "Boom",
              "message": "it broke", "attempts": 1, "program_version": "0.1.0"}  # fmt: skip
    detail |= fields.pop("detail", {})
    return record("dead_letter", seconds, detail, **{"status": "failed", "reason": "act: Boom: it broke", **fields})


def land(client: Client, *records: AuditRecord, first: int = 0, partition: int = 0) -> None:
    offsets = range(first, first + len(records))
    AuditTable(lambda: client).insert([Landing("test.audit", partition, records, offsets)])


def parts(client: Client) -> int:
    """How many parts inserts have made; those that merges made of them are not counted."""
    where = "database = currentDatabase() AND table = 'audit_records' AND min_block_number = max_block_number"
    return int(client.query(f"SELECT count() FROM system.parts WHERE {where}").result_rows[0][0])
