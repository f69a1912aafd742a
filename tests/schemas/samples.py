"""One full record of each kind, for the tests of schemas and codec."""

from datetime import UTC, datetime

from schemas.records import (
    ApprovalReply,
    AuditRecord,
    BudgetEntry,
    Case,
    ControlCommand,
    DeadLetter,
    DeadLetterEnd,
    Decision,
    Event,
    Fallback,
    PastStep,
    Permit,
    Record,
    Reminder,
    Spent,
    StepOutcome,
    Verdict,
)

NOW = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC)

EVENT = Event(
    id="evt-1",
    source="desk/mail",
    type="ticket.created",
    subject="ticket/12345",
    time=NOW,
    data='{"text": "Wo ist meine Karte? 🃏"}',
)
OUTCOME = StepOutcome(
    step_id="step-1", position=0, handler="reply.send", status="done", result='{"id": 7}', started_at=NOW, latency_ms=12
)
PAST = PastStep(
    step=0, action="research", kind="research", parameters="{}", reasoning="look first", outcomes=(OUTCOME,)
)
CASE = Case(
    case_id="case-1",
    agent="support-triage",
    charter_version="0123456789abcdef",
    event=EVENT,
    step=1,
    received_at=NOW,
    reserved_microusd=200_000,
    spent=Spent(actions=1, external_calls=1, model_calls=1, cost_microusd=1300),
    history=(PAST,),
    escalate_because="",
    budget_day="2026-11-22",
    closed_actions=("refund",),
)
DECISION = Decision(
    decision_id="decision-1",
    case=CASE,
    action="respond",
    kind="respond",
    confidence=0.93,
    parameters='{"text": "On its way."}',
    reasoning="The card was sent on Monday.",
    provider="anthropic",
    model="claude-sonnet-5-5",
    prompt_sha256="ab" * 32,
    disposition="execute",
    verdicts=(Verdict(rule="refund-cap", passed=True, reason="no refund"),),
    fallbacks=(Fallback(provider="anthropic", reason="overloaded", detail="529"),),
    input_tokens=900,
    output_tokens=80,
    cost_microusd=3900,
    latency_ms=810,
    decided_at=NOW,
)
SAMPLES: tuple[Record, ...] = (
    EVENT,
    CASE,
    BudgetEntry(entry_id="e", kind="reserve", agent="a", case_id="case-1", amount_microusd=0, time=NOW, case=CASE),
    DECISION,
    AuditRecord(record_id="r", kind="decided", time=NOW, subject="ticket/12345", status="running", confidence=0.93),
    Reminder(
        reminder_id="m",
        subject="ticket/12345",
        due_at=NOW,
        topic="ingest",
        key="k",
        value=b"\x00\x01bytes",
        reason="wait",
    ),
    Permit(
        permit_id="p",
        limit="connection helpdesk",
        count=100,
        per_seconds=60,
        purpose="step-1:0:0",
        number=1,
        decision=DECISION,
        time=NOW,
        slot_at=NOW,
    ),
    ControlCommand(key="a/promoted", kind="promote", agent="a", charter_version="v", issued_by="me", time=NOW),
    ApprovalReply(
        decision_id="decision-1", subject="s", verdict="approve", payload_sha256="ab", person="Ada", time=NOW
    ),
    DeadLetter(
        dead_letter_id="d",
        stage="ingest",
        topic="ingest",
        partition=1,
        offset=2,
        timestamp_ms=3,
        error="Undecodable",
        message="first byte is 1",
        traceback="",
        program_version="0.1.0",
        time=NOW,
        attempted="read an Event",
        replay_of="c",
        original_headers=1,
        parks=True,
    ),
    DeadLetterEnd(dead_letter_id="d", verdict="replayed", person="Ada", reason="the registry is back", time=NOW),
)
