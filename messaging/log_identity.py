"""Stamps each committed offset with the id of the topic in whose log it counts.

Kafka keeps a group's offsets by the topic's name. If a topic is deleted and created again under a running worker, the
worker may commit an offset of the old log, or continue at it in the new one, before it notices. Its successor would
begin there, and the new records before that offset would never be read. So the metadata of each commit names the log,
beside what else it says. A commit without an id, of an older version or another tool, is believed.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

# The id of a topic, by its name with the prefix; empty if it is not known.
TopicId = Callable[[str], str]


class Log(NamedTuple):
    """A topic, and the broker's id of it; empty if it is not known."""

    topic: str
    topic_id: str


def unknown(_topic: str) -> str:
    """For a reader whose logs have no ids."""
    return ""


def stamped(metadata: str, topic_id: str) -> str:
    """The metadata of a commit with the id of its topic."""
    return json.dumps({**_fields(metadata), "topic_id": topic_id}) if topic_id else metadata


def is_of_another_log(metadata: str, topic_id: str) -> bool:
    """Whether the offset with this metadata was committed for another topic of the same name."""
    committed_for = _fields(metadata).get("topic_id")
    return isinstance(committed_for, str) and bool(committed_for and topic_id) and committed_for != topic_id


def _fields(metadata: str) -> dict[str, Any]:
    """What comes behind the object is left out, because confluent-kafka 2.16 reads beyond the end of the metadata."""
    try:
        found, _ = json.JSONDecoder().raw_decode(metadata)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
