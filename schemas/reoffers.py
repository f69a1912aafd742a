"""The header of an event that a person offers again, once nothing prevents a case any more.

`nightdesk events reoffer` writes it, and the ingest stage reads it. Any producer can write it as well, so it gives no
right: an agent that took an event does not take it again.
"""

from collections.abc import Iterable

from nightdesk.schemas import bounds
from nightdesk.schemas.dead_letters import as_text

REOFFER_HEADER = "nightdesk.reoffer"
EVERY_AGENT = "*"


def reoffer_header(agent: str) -> tuple[str, bytes]:
    """The header of an event for one agent, or for every agent that did not take it (`EVERY_AGENT`)."""
    return (REOFFER_HEADER, agent.encode())


def offered_to(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """The agent that the event is offered to again, or `EVERY_AGENT`; empty for an event that comes by itself. The last
    header counts.
    """
    found = [value for name, value in headers if name == REOFFER_HEADER]
    return as_text(found[-1] or b"", bounds.NAME_CHARACTERS_AT_MOST) if found else ""
