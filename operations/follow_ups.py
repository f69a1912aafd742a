"""Lists future follow-ups, and cancels one."""

from __future__ import annotations

from datetime import UTC, datetime

from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.persons import claimed_name
from nightdesk.schemas.records import Timer
from nightdesk.schemas.topics import INGEST, TIMERS
from nightdesk.sinks.follow_ups import FollowUp, follow_ups

# The shortest part of a timer's id that is accepted.
LEAST_CHARACTERS = 6


def list_follow_ups(installation: Installation) -> list[FollowUp]:
    """Every future follow-up, the soonest first. Raises `Failure`."""
    with clickhouse(installation.clickhouse) as client:
        return follow_ups(client, datetime.now(UTC))


def cancel(installation: Installation, timer_id: str, reason: str) -> FollowUp:
    """Cancel the follow-up with this id, or whose id begins like this. Returns it when the broker has the record.
    Raises `Failure` if there is none or several.
    """
    with clickhouse(installation.clickhouse) as client:
        found = follow_ups(client, datetime.now(UTC), timer_id)
    if not found:
        raise Failure(
            f"no follow-up is to come under {timer_id}", "See `nightdesk follow-ups list`", FailureKind.NOT_FOUND
        )
    if len(found) > 1 or len(timer_id) < LEAST_CHARACTERS:
        raise Failure(f"{timer_id} may be one of several follow-ups", "Give more of the id", FailureKind.INVALID)
    [one] = found
    order = Timer(
        kind="cancel",
        timer_id=one.timer_id,
        subject=one.subject,
        due_at=one.due_at,
        topic=INGEST.name,
        key=one.subject,
        value=b"",
        reason=reason,
        case_id=one.case_id,
        person=claimed_name(),
    )
    with registered_codec(installation, Timer) as codec:
        produce(installation.kafka, TIMERS, [(one.subject, codec.encode(order))])
    return one
