"""The fields of an audit record that say what it is about: its event, case and decision."""

from typing import Any

from nightdesk.schemas.records import Case, Decision, Event


def of_event(event: Event) -> dict[str, Any]:
    """The fields that name an event."""
    return {
        "subject": event.subject,
        "event_id": event.id,
        "event_source": event.source,
        "event_type": event.type,
    }


def of_case(case: Case) -> dict[str, Any]:
    """The fields that name a case and its event."""
    return {
        **of_event(case.event),
        "case_id": case.case_id,
        "agent": case.agent,
        "charter_version": case.charter_version,
        "step": case.step,
        # A case of an older version: it may move while that case waits, but there is no better time.
        "case_at": case.case_at or case.received_at,
    }


def of_decision(decision: Decision) -> dict[str, Any]:
    """The fields that name a decision, its case and its event."""
    return {**of_case(decision.case), "decision_id": decision.decision_id, "action": decision.action}
