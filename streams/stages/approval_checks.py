"""Checks whether an answer to an approval counts. Pure."""

from datetime import datetime

from nightdesk.processors.json_text import DataInvalid, parse_exact
from nightdesk.schemas.persons import SYSTEM, is_of_the_system
from nightdesk.schemas.records import ApprovalReply
from nightdesk.streams.ports import Persons
from nightdesk.streams.stages.held_decisions import Held

EXPIRY = f"{SYSTEM} nobody answered in time"
NEWER_EVENT = f"{SYSTEM} a newer event came"


def problem_with(reply: ApprovalReply, held: Held, place: str, persons: Persons) -> str | None:
    """Why the answer does not count; empty if it does. Problems of the answer itself come first, because they stay the
    same when it is redelivered after another answer has counted.
    """
    if (wrong := _problem_with(reply, held) or _answered_before(reply, held, place)) is not None:
        return wrong
    if held.verdict is not None or reply.verdict == "expire":
        return None  # the answer that counted is redelivered; its key may have been withdrawn since
    identity = persons.identity(reply)
    if identity == "forged":
        return f"{reply.person} has a key, and it did not sign this answer"
    if identity == "claimed" and persons.required and reply.verdict != "reject":
        return f"only a signed answer approves, and {reply.person} is only claimed"
    return None


def is_late(reply: ApprovalReply, held: Held, place: str, now: datetime) -> bool:
    """Whether the decision had expired when the answer was first read."""
    if reply.verdict == "expire":
        return False
    expired_here = held.verdict == "expire" and held.answered_by == f"{EXPIRY}@{place}"
    return expired_here or (held.verdict is None and now >= held.expires_at)


def answered_by(reply: ApprovalReply, held: Held, place: str) -> Held:
    """The held decision with its answer."""
    person = EXPIRY if reply.verdict == "expire" else reply.person
    return held.model_copy(update={"answered_by": f"{person}@{place}", "verdict": reply.verdict})


def _answered_before(reply: ApprovalReply, held: Held, place: str) -> str | None:
    """Why another answer counted before; empty for a redelivery of the answer that counted."""
    if held.verdict is None or held.answered_by == answered_by(reply, held, place).answered_by:
        return None
    return f"it was answered before: {held.verdict}"


def _problem_with(reply: ApprovalReply, held: Held) -> str | None:
    if reply.subject != held.decision.subject:
        return "the answer names another subject than the decision that waits here"
    if reply.verdict != "expire" and reply.payload_sha256 != held.payload_sha256:
        return "the answer is for another payload than the one that waits here (payload_sha256 differs)"
    if not reply.person.strip():
        return "nobody gave the answer (person is empty)"
    if reply.verdict != "expire" and is_of_the_system(reply.person):
        return f"no person's name begins with {SYSTEM!r}"
    if (reply.verdict == "edit") != (reply.parameters is not None):
        return "parameters are allowed only with an edit"
    return None if reply.parameters is None else _problem_with_parameters(reply.parameters)


def _problem_with_parameters(text: str) -> str | None:
    try:
        found = parse_exact(text, "the edit")
    except DataInvalid as error:
        return str(error)
    return None if isinstance(found, dict) else "the edit is not a JSON object of parameters"
