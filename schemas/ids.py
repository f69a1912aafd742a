"""Ids are functions of their causes, so the same event processed twice gives the same ids.

Every stage calls these instead of drawing an id. A reader takes the first record of an id and drops the rest.
"""

from hashlib import sha1
from uuid import UUID

NAMESPACE = UUID("5b6f9d1c-1f64-5b0e-9a52-0b1d4b0a7e11")
_NAMESPACE_BYTES = NAMESPACE.bytes


def _derive(kind: str, *causes: str) -> str:
    # The separator cannot occur in a record's text fields that Kafka keys allow, so ("a", "bc") never meets ("ab",
    # "c").
    # uuid5 by hand: every event has ten of them, and the standard library's takes three times as long. A test holds
    # the two equal.
    name = "\x00".join((kind, *causes)).encode()
    digest = bytearray(sha1(_NAMESPACE_BYTES + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def case_id(agent: str, source: str, event_id: str) -> str:
    """One agent's handling of one event."""
    return _derive("case", agent, source, event_id)


def decision_id(case: str, step: int) -> str:
    """The decision of a case's step; step 0 is the first."""
    return _derive("decision", case, str(step))


def step_id(decision: str, position: int) -> str:
    """A playbook's step; also the idempotency key that goes to the other side."""
    return _derive("step", decision, str(position))


def undo_id(step: str) -> str:
    """The undo of a step; its idempotency key."""
    return _derive("undo", step)


def entry_id(case: str, kind: str, step: int = 0) -> str:
    """A budget entry: one of a kind for each case and step."""
    return _derive("entry", case, kind, str(step))


def permit_id(purpose: str, number: int) -> str:
    """Leave to act for a purpose; the same one asked for again gets the same answer."""
    return _derive("permit", purpose, str(number))


def record_id(kind: str, *causes: str) -> str:
    """An audit record: one of a kind for each cause."""
    return _derive("audit", kind, *causes)


def reminder_id(*causes: str) -> str:
    """A reminder: the same cause sets the same timer once."""
    return _derive("reminder", *causes)


def dead_letter_id(topic: str, partition: int, offset: int) -> str:
    """A dead letter: where the record lay names it."""
    return _derive("dead_letter", topic, str(partition), str(offset))


def undo_letter_id(decision: str, replays: int) -> str:
    """The dead letter of a decision whose steps could not be taken back, after so many replays of it."""
    return _derive("dead_letter", "undo", decision, str(replays))


def next_dead_letter_id(letter: str) -> str:
    """The dead letter of a replay that failed again: one, however often the same letter was replayed."""
    return _derive("dead_letter", letter)
