"""How an entry lies on the local disk, and what is stored about all entries of a table in a partition."""

from pydantic import BaseModel

from nightdesk.messaging import changelog
from nightdesk.messaging.changelog import ENVELOPE

# A former owner's write is in the changelog within a fraction of its session, or never.
DELETED_KEPT_S = 86_400.0


class Identity(BaseModel, frozen=True):
    """What the entries belong to. If anything differs, they are of no use."""

    cluster_id: str
    topic_id: str
    program_format: int


class Progress(BaseModel):
    """How far the entries follow the changelog: they have everything before `offset`. `written_at` is epoch seconds."""

    identity: Identity
    offset: int = 0
    newest_term: int = 0
    count: int = 0
    written_at: float = 0.0


def stored_form(entry: changelog.Entry) -> bytes:
    """The entry as it is stored. A deletion has no value; no entry's value is empty."""
    if entry.value is None:
        return ENVELOPE.pack(entry.term, entry.term / 1000 + DELETED_KEPT_S)
    return ENVELOPE.pack(entry.term, entry.expires_at) + entry.value


def value_of(stored: bytes | None) -> bytes | None:
    """The value; None for a deletion."""
    return None if stored is None or len(stored) == ENVELOPE.size else stored[ENVELOPE.size :]


def term_of(stored: bytes) -> int:
    """The term that wrote the entry."""
    return int(ENVELOPE.unpack_from(stored)[0])


def until_of(stored: bytes) -> float:
    """When the entry expires, or the deletion may be forgotten (epoch seconds); 0 for never."""
    return float(ENVELOPE.unpack_from(stored)[1])
