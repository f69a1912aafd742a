"""Lists decisions that wait for a person, and sends the person's answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.persons import Person
from nightdesk.processors.json_text import DataInvalid, parse_exact
from nightdesk.schemas.records import ApprovalReply
from nightdesk.schemas.topics import APPROVALS
from nightdesk.sinks.approval_answers import GivenAnswer, approval_answers
from nightdesk.sinks.approvals import Waiting, waiting
from nightdesk.sinks.similar_approvals import SimilarApprovals, similar_approvals

# The shortest part of a decision's id that is accepted.
LEAST_CHARACTERS = 6


@dataclass(frozen=True, slots=True)
class ApprovalAnswer:
    """A person's answer to a decision. `parameters` is JSON text, and None unless the verdict is `edit`."""

    verdict: Literal["approve", "reject", "edit"]
    reason: str = ""
    parameters: str | None = None


def waiting_decisions(installation: Installation) -> list[Waiting]:
    """Every decision that waits, the oldest first. Raises `Failure`."""
    with clickhouse(installation.clickhouse) as client:
        return waiting(client)


def waiting_decision(installation: Installation, decision_id: str) -> Waiting:
    """The waiting decision with this id, or whose id begins like this. Raises `Failure` if there is none or several."""
    with clickhouse(installation.clickhouse) as client:
        found = waiting(client, decision_id)
    if not found:
        raise Failure(f"nothing waits under {decision_id}", "See `nightdesk approvals list`", FailureKind.NOT_FOUND)
    if len(found) > 1 or len(decision_id) < LEAST_CHARACTERS:
        raise Failure(f"{decision_id} may be one of several decisions", "Give more of the id", FailureKind.INVALID)
    return found[0]


def given_answers(installation: Installation, decision_id: str) -> list[GivenAnswer]:
    """What people answered to a decision, in order, also what does not count. Raises `Failure`."""
    with clickhouse(installation.clickhouse) as client:
        return approval_answers(client, decision_id)


def similar(installation: Installation, decision: Waiting, now: datetime) -> SimilarApprovals:
    """How people answered the agent's earlier requests for the same action. Raises `Failure`."""
    with clickhouse(installation.clickhouse) as client:
        return similar_approvals(client, decision.agent, decision.action, decision.decision_id, now)


def check_seen(decision: Waiting) -> None:
    """Raise `Failure` if the person has to see more than the decision: others for the same action, or newer events."""
    approved = sum(other.approved_at is not None for other in decision.others)
    beside = {
        f"{approved} approved before": approved,
        f"{len(decision.others) - approved} more waiting": len(decision.others) - approved,
        f"{len(decision.newer_events)} newer events": len(decision.newer_events),
    }
    found = ", ".join(text for text, count in beside.items() if count)
    if found:
        raise Failure(
            f"{decision.action} for {decision.subject} is not all there is: {found}",
            f"Look at `nightdesk approvals show {decision.decision_id}`, then approve with --seen",
            FailureKind.INVALID,
        )


def answer(installation: Installation, decision: Waiting, given: ApprovalAnswer, person: Person) -> ApprovalReply:
    """Send a person's answer, unsigned without a key. Returns it when the broker has it. Raises `Failure`, also for an
    approval that would not count, because four eyes need another person.
    """
    if given.verdict != "reject" and (refused := decision.refusal(person.name, edits=given.parameters is not None)):
        raise Failure(refused, "Ask another person, or reject it", FailureKind.INVALID)
    reply = ApprovalReply(
        decision_id=decision.decision_id,
        subject=decision.subject,
        verdict=given.verdict,
        payload_sha256=decision.payload_sha256,
        parameters=given.parameters,
        person=person.name,
        login=person.login,
        reason=given.reason,
        time=datetime.now(UTC),
    )
    if person.signer is not None:
        reply = person.signer.sign(reply)
    with registered_codec(installation, ApprovalReply) as codec:
        produce(installation.kafka, APPROVALS, [(decision.subject, codec.encode(reply))])
    return reply


def edited_parameters(text: str) -> str:
    """The parameters that a person wrote, as JSON text. Raises `Failure` if they are not a JSON object."""
    try:
        found = parse_exact(text, "the edit")
    except DataInvalid as error:
        raise Failure(str(error), "Give a JSON object of parameters", FailureKind.INVALID) from None
    if not isinstance(found, dict):
        raise Failure("the edit is not a JSON object", "Give a JSON object of parameters", FailureKind.INVALID)
    return json.dumps(found)
