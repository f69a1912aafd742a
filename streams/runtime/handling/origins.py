"""Identifies the producer of a record as far as possible. Pure.

It distinguishes producers in the failure ratio and names them in dead letters. Kafka names no producer, so it uses the
record: a header, its source or its agent, its writer's schema.
"""

from nightdesk.schemas.codec import HEADER, MAGIC
from nightdesk.schemas.dead_letters import as_text
from nightdesk.schemas.records import Event, Record
from nightdesk.streams.runtime.handling.delivery import RawEvent

# Headers by which clients name themselves: CloudEvents' Kafka binding, and other common ones.
NAMING_HEADERS = ("ce_source", "source", "client.id", "producer")
CHARACTERS_AT_MOST = 200


def origin_of_record(record: Record | None) -> str:
    """The source of an event, or the agent of one of our records; empty for none."""
    if record is None:
        return ""
    if isinstance(record, Event):
        return record.source
    fields = record.__dict__  # `getattr` for a field that is not there is slow in pydantic
    return str(fields.get("agent") or (fields["case"].agent if "case" in fields else ""))


def describe_origin(event: RawEvent, record: Record | None) -> str:
    """The description of the producer of a dead letter for people, of bounded length."""
    if record is not None:
        kind = "source" if isinstance(record, Event) else "agent"
        return as_text(f"{kind} {origin_of_record(record)}", CHARACTERS_AT_MOST)
    for name, value in event.headers:
        if name in NAMING_HEADERS and value:
            return as_text(f"{name} {as_text(value, CHARACTERS_AT_MOST)}", CHARACTERS_AT_MOST)
    return _written_as(event.value)


def _written_as(value: bytes | None) -> str:
    if not value:
        return "no value"
    if value[0] != MAGIC or len(value) < HEADER.size:
        return f"not Avro: begins with 0x{value[0]:02x}"
    return f"schema {HEADER.unpack_from(value)[1]}"
