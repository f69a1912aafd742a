"""Ids are functions of their causes, so processing the same event twice gives the same ids.

A reader accepts the first record with an id and drops the others.
"""

from hashlib import sha1, sha256
from uuid import UUID

NAMESPACE = UUID("5b6f9d1c-1f64-5b0e-9a52-0b1d4b0a7e11")
_NAMESPACE_BYTES = NAMESPACE.bytes
# The digit of a UUID that says its variant, in place of the digest's.
_VARIANT = {f"{digit:x}": f"{digit & 0b0011 | 0b1000:x}" for digit in range(16)}


def composite_key(*parts: str) -> str:
    """One key from several parts. Each part is preceded by its length, so two different tuples never give the same key,
    whatever characters the parts contain.
    """
    return "".join([f"{len(part)}:{part}" for part in parts])


def _derive(kind: str, *causes: str) -> str:
    # uuid5 by hand: every event needs ten of them, and the standard library takes three times as long. A test compares
    # both.
    name = composite_key(kind, *causes).encode()
    text = sha1(_NAMESPACE_BYTES + name, usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def case_id(agent: str, source: str, event_id: str, subject: str) -> str:
    """One agent's handling of one event. The same source and id under another subject is another event: it is in
    another partition, so no stage could know of both.
    """
    return _derive("case", agent, source, event_id, subject)


def decision_id(case: str, step: int) -> str:
    """The decision of a case's step; step 0 is the first."""
    return _derive("decision", case, str(step))


def step_id(decision: str, position: int, generation: int = 0) -> str:
    """A step of a playbook; also the idempotency key of its call. `generation` counts how often the step was started
    again after it had failed or was undone, because with the old key the other side would only repeat its old response.
    """
    return _derive("step", decision, str(position), *((str(generation),) if generation else ()))


def undo_id(step: str) -> str:
    """The undo of a step; also its idempotency key."""
    return _derive("undo", step)


def entry_id(case: str, kind: str, step: int = 0, returns: int = 0) -> str:
    """An entry of the ledger: one of each kind for each case, step and time that the step was given back."""
    return _derive("entry", case, kind, str(step), *([str(returns)] if returns else []))


def request_id(purpose: str, number: int) -> str:
    """A rate request for a purpose; a repeated request gets the same grant."""
    return _derive("rate_request", purpose, str(number))


def record_id(kind: str, *causes: str) -> str:
    """An audit record: one of each kind for each cause."""
    return _derive("audit", kind, *causes)


def timer_id(*causes: str) -> str:
    """A timer: the same cause sets the same timer once."""
    return _derive("timer", *causes)


def notification_id(*causes: str) -> str:
    """A notice for a route, or a batch of notices: the batch's is the idempotency key of its message."""
    return _derive("notification", *causes)


def dead_letter_id(topic: str, partition: int, offset: int, timestamp_ms: int) -> str:
    """A dead letter, identified by the topic, partition, offset and time of its record. A topic that was recreated has
    other records at the same offsets, and their letters must not take over the resolutions of earlier ones.
    """
    return _derive("dead_letter", topic, str(partition), str(offset), str(timestamp_ms))


def forwarded_letter_id(topic: str, origin: str) -> str:
    """The dead letter of a record that was forwarded to the partition of its subject: one, however often it was
    forwarded.
    """
    return _derive("dead_letter", topic, origin)


def lost_letter_id(topic: str, partition: int, offset: int, end_offset: int) -> str:
    """The dead letter of lost records, from `offset` up to `end_offset`."""
    return _derive("dead_letter", "lost", topic, str(partition), str(offset), str(end_offset))


def decision_letter_id(decision: str, replays: int) -> str:
    """The dead letter of a decision that could not be carried out or undone, after so many replays of it."""
    return _derive("dead_letter", "decision", decision, str(replays))


def next_dead_letter_id(letter: str, value: bytes | None) -> str:
    """The dead letter of a replay that failed again: one, however often the same letter was replayed. `value` is the
    record's, so another record that claims to be a replay of the letter does not take its id.
    """
    return _derive("dead_letter", letter, sha256(value or b"").hexdigest())
