"""What happened, in one short line each, for a reader of the trace."""

from nightdesk.schemas.records import (
    ApprovalReply,
    AuditRecord,
    BudgetEntry,
    Case,
    Decision,
    Event,
    RateRequest,
    Record,
    Timer,
)


def told(record: Record | None) -> str:
    """A record in a few words, with everything that a reader of the story needs."""
    match record:
        case None:
            return "junk"
        case Event():
            return f"{record.id} of {record.subject}, {record.type}"
        case Case():
            because = f" because {record.escalate_because}" if record.escalate_because else ""
            return f"{record.event.id} step {record.step}, {record.reserved_microusd} held{because}"
        case BudgetEntry():
            of = record.case.event.id if record.case else record.case_id
            return f"{record.kind} {record.amount_microusd} for {of}"
        case Decision():
            answer = f"{record.action} {record.parameters} ({record.confidence})"
            return f"{record.case.event.id} step {record.case.step}: {record.disposition} {answer} by {record.provider}"
        case ApprovalReply():
            return f"{record.person} says {record.verdict} to {record.decision_id}, hash {record.payload_sha256[:8]}"
        case AuditRecord():
            return f"{record.event_id} step {record.step}: {record.kind}, {record.status}, {record.reason}"
        case RateRequest():
            return f"{record.limit} for {record.decision.case.event.id}, slot {record.slot_at}"
        case Timer():
            return f"{record.reason}: on {record.topic} at {record.due_at:%d %H:%M:%S.%f}"
        case _:
            return type(record).__name__
