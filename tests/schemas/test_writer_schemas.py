"""What other producers' schemas may do to a process: be learned late, mean more than plain values, and no harm."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from fastavro import parse_schema, schemaless_writer

from nightdesk.schemas import avro
from nightdesk.schemas.codec import HEADER, Codec, Undecodable, UnknownSchema, UnsafeSchema
from nightdesk.schemas.logical_types import DECIMAL_BYTES_AT_MOST
from nightdesk.schemas.records import Event
from nightdesk.schemas.schema_safety import check_safe
from nightdesk.schemas.topics import RECORDS
from nightdesk.schemas.writer_schemas import (
    ASK_AGAIN_AFTER_S,
    FOREIGN_SCHEMAS_AT_MOST,
    UNKNOWN_ANSWERS_AT_MOST,
    UNKNOWN_ANSWERS_WINDOW_S,
    Writer,
    WriterSchemas,
)

IDS = {record: number for number, record in enumerate(RECORDS, start=1)}
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
NULL_FIELD = {"name": "nothing", "type": "null"}
TEXT_FIELD = {"name": "text", "type": "string"}


class Registry:
    """Schemas by id, and what was asked for."""

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.asked: list[int] = []
        self.now = 1000.0
        self.codec = Codec(IDS, self.fetch, lambda: self.now)

    def fetch(self, schema_id: int) -> dict[str, Any]:
        self.asked.append(schema_id)
        if schema_id not in self.schemas:
            raise UnknownSchema(f"the registry does not know schema id {schema_id}")
        return self.schemas[schema_id]

    def refuses(self, schema_id: int) -> None:
        with pytest.raises(UnknownSchema):
            self.codec.decode(Event, HEADER.pack(0, schema_id) + b"rest")


def event_schema(**types: Any) -> dict[str, Any]:
    """The event's schema with other types for some fields; a new name is a field more."""
    own = avro.load(Event)
    fields = [{**field, "type": types.pop(field["name"], field["type"])} for field in own["fields"]]
    return {**own, "fields": fields + [{"name": name, "type": kind} for name, kind in types.items()]}


def written(schema_id: int, schema: dict[str, Any], **fields: Any) -> bytes:
    buffer = BytesIO()
    event = {"id": "1", "source": "s", "type": "t", "subject": "x", "time": WHEN, **fields}
    schemaless_writer(buffer, parse_schema(schema), event)
    return HEADER.pack(0, schema_id) + buffer.getvalue()


def test_an_unknown_id_is_asked_for_again_after_a_while_and_not_before() -> None:
    registry = Registry()
    for _ in range(3):
        registry.refuses(99)
    registry.now += ASK_AGAIN_AFTER_S - 0.001
    registry.refuses(99)
    assert registry.asked == [99]
    registry.schemas[99] = event_schema()
    registry.now += 0.001
    assert registry.codec.decode(Event, written(99, registry.schemas[99])).time == WHEN
    assert registry.asked == [99, 99]


def test_a_flood_of_invented_ids_costs_neither_a_request_each_nor_memory() -> None:
    registry = Registry()
    for schema_id in range(1000, 21_000):
        registry.now += 0.01
        registry.refuses(schema_id)
    windows = 200 / UNKNOWN_ANSWERS_WINDOW_S
    assert len(registry.asked) <= UNKNOWN_ANSWERS_AT_MOST * (windows + 1)
    refused = registry.codec._writers._refused
    assert len(refused) <= UNKNOWN_ANSWERS_AT_MOST * (ASK_AGAIN_AFTER_S / UNKNOWN_ANSWERS_WINDOW_S + 1)
    registry.now += UNKNOWN_ANSWERS_WINDOW_S
    registry.schemas[99] = event_schema()
    assert registry.codec.decode(Event, written(99, registry.schemas[99])).id == "1", "after the flood it is asked for"


def test_a_producer_without_a_registry_costs_another_no_event() -> None:
    """Its bytes look like ids that no registry has given yet. One with a new schema is asked for meanwhile."""
    registry = Registry()
    for number in range(2 * UNKNOWN_ANSWERS_AT_MOST):
        registry.refuses(0x7B226964 + number)
    registry.schemas[99] = event_schema()
    assert registry.codec.decode(Event, written(99, registry.schemas[99])).id == "1"
    assert len(registry.asked) == UNKNOWN_ANSWERS_AT_MOST + 1


def test_a_flood_of_registered_schemas_is_not_kept() -> None:
    registry = Registry()
    for schema_id in range(100, 100 + 2 * FOREIGN_SCHEMAS_AT_MOST):
        registry.schemas[schema_id] = event_schema()
        registry.codec.decode(Event, written(schema_id, registry.schemas[schema_id]))
    assert len(registry.codec._writers._foreign) == FOREIGN_SCHEMAS_AT_MOST


LOGICAL = [
    ("id", {"type": "string", "logicalType": "uuid"}, UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ("data", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, Decimal("12.50"), "12.50"),
    ("time", {"type": "long", "logicalType": "timestamp-millis"}, WHEN, WHEN),
    ("time", {"type": "long", "logicalType": "timestamp-micros"}, WHEN, WHEN),
    ("opened", {"type": "int", "logicalType": "date"}, date(2026, 1, 2), None),
    ("opened", {"type": "int", "logicalType": "time-millis"}, WHEN.time(), None),
]


@pytest.mark.parametrize(("name", "kind", "value", "read"), LOGICAL)
def test_logical_types_are_read_as_their_writer_means_them(name: str, kind: Any, value: Any, read: Any) -> None:
    registry = Registry()
    registry.schemas[99] = event_schema(**{name: kind})
    event = registry.codec.decode(Event, written(99, registry.schemas[99], **{name: value}))
    assert getattr(event, name, None) == read


BYTES = {"type": "bytes"}
DECIMAL = BYTES | {"logicalType": "decimal", "precision": 4}


@pytest.mark.parametrize(
    ("unscaled", "scale", "text"),
    [(b"\x12\xd6\x87", 2, "12345.67"), (b"\xff" * 64, 0, "-1"), (b"\x7f" * 30, 3, None), (b"", 0, "0")],
)
def test_a_decimal_is_read_with_all_its_digits(unscaled: bytes, scale: int, text: str | None) -> None:
    """Also with more than its schema says: rounded it would be another number."""
    registry = Registry()
    registry.schemas[99] = event_schema(data=DECIMAL | {"scale": scale})
    event = registry.codec.decode(Event, written(99, event_schema(data=BYTES), data=unscaled))
    exact = Fraction(int.from_bytes(unscaled, signed=True), 10**scale)
    assert Fraction(event.data) == exact
    assert text is None or event.data == text


@pytest.mark.parametrize("more", [{}, {"precision": 10**7}, {"scale": 10**30, "precision": 10**30}])
def test_a_decimal_of_a_megabyte_is_refused_and_not_computed(more: dict[str, int]) -> None:
    """fastavro needs three minutes for it, in which it holds the interpreter."""
    registry = Registry()
    registry.schemas[99] = event_schema(data=DECIMAL | more)
    payload = written(99, event_schema(data=BYTES), data=b"\x7f" * 1_000_000)
    with pytest.raises(Undecodable, match=f"a decimal has 1000000 bytes: at most {DECIMAL_BYTES_AT_MOST} are read"):
        registry.codec.decode(Event, payload)


@pytest.mark.parametrize("text", ["order-1", "00000000-0000-0000-0000-00000000000A", "{x}", "ü"])
@pytest.mark.parametrize("name", ["id", "subject"])
@pytest.mark.parametrize("union", [False, True])
def test_a_uuid_that_is_none_is_read_as_it_was_written(name: str, text: str, union: bool) -> None:
    """A string stays a string: the specification lets a reader ignore a logical type, and no writer checks it."""
    kind: Any = {"type": "string", "logicalType": "uuid"}
    registry = Registry()
    registry.schemas[99] = event_schema(**{name: ["null", kind] if union else kind})
    plain = event_schema(**{name: ["null", "string"] if union else "string"})
    event = registry.codec.decode(Event, written(99, plain, **{name: text}))
    assert getattr(event, name) == text


@pytest.mark.parametrize("kind", ["long", {"type": "long", "logicalType": "local-timestamp-millis"}])
def test_a_time_that_may_be_any_moment_is_refused(kind: Any) -> None:
    """Milliseconds read as microseconds are a day in January 1970."""
    registry = Registry()
    registry.schemas[99] = event_schema(time=kind)
    payload = written(99, registry.schemas[99], time=1_700_000_000_000)
    with pytest.raises(Undecodable, match="timestamp-micros or timestamp-millis"):
        registry.codec.decode(Event, payload)


UNFIT = {
    "the schema's record is 'TicketCreated': name it Event": lambda schema: schema | {"name": "TicketCreated"},
    "the schema has no field id: add it": lambda schema: schema | {"fields": schema["fields"][1:]},
    "id is map in the schema: write it as string": lambda _: event_schema(id={"type": "map", "values": "string"}),
    "subject is int in the schema: write it as string": lambda _: event_schema(subject="int"),
    "time is string in the schema: write it as long": lambda _: event_schema(time="string"),
    "subject may be of several types in the schema": lambda _: event_schema(subject=["null", "string"]),
}


@pytest.mark.parametrize(("reason", "changed"), UNFIT.items(), ids=UNFIT)
def test_a_schema_that_does_not_fit_is_told_apart_by_what_to_change(reason: str, changed: Any) -> None:
    registry = Registry()
    registry.schemas[99] = changed(event_schema())
    with pytest.raises(Undecodable, match=reason):
        registry.codec.decode(Event, HEADER.pack(0, 99) + b"\x00" * 20)


@pytest.mark.parametrize("micros", [1_795_000_000 * 10**9, 2**62, -(2**62)])
def test_a_time_of_nanoseconds_is_refused_and_says_so(micros: int) -> None:
    registry = Registry()
    registry.schemas[99] = avro.load(Event)
    for schema_id in (99, IDS[Event]):
        payload = written(schema_id, event_schema(time="long"), time=micros)
        with pytest.raises(Undecodable, match="outside the years 1 to 9999: send microseconds since 1970 UTC"):
            registry.codec.decode(Event, payload)


def _deep(levels: int) -> Any:
    kind: Any = "string"
    for level in range(levels):
        kind = {"type": "record", "name": f"R{level}", "fields": [{"name": "inner", "type": kind}]}
    return kind


def _doubling(levels: int) -> Any:
    """Records that each contain two of the next: a value of no bytes and 2^levels steps."""
    kind: Any = {"type": "record", "name": "L0", "fields": []}
    for level in range(1, levels):
        fields = [{"name": "first", "type": kind}, {"name": "second", "type": f"L{level - 1}"}]
        kind = {"type": "record", "name": f"L{level}", "fields": fields}
    return kind


def _chain(levels: int) -> Any:
    """Records one beside the other, of which each contains the one before by its name."""
    fields: list[Any] = [{"name": "f0", "type": {"type": "record", "name": "C0", "fields": [TEXT_FIELD]}}]
    for level in range(1, levels):
        kind = {"type": "record", "name": f"C{level}", "fields": [{"name": "before", "type": f"C{level - 1}"}]}
        fields.append({"name": f"f{level}", "type": kind})
    return {"type": "record", "name": "Chain", "fields": fields}


def _after(*definitions: Any, kind: Any) -> Any:
    """A value of `kind` that may name the types of the definitions before it."""
    fields = [{"name": f"f{place}", "type": each} for place, each in enumerate((*definitions, kind))]
    return {"type": "record", "name": "After", "fields": fields}


EMPTY = {"type": "record", "name": "empty.X", "fields": []}
FULL = {"type": "record", "name": "full.X", "fields": [TEXT_FIELD]}
UNSAFE = {
    "twice the next, twice the next": _doubling(28),
    "a chain of names": _chain(60),
    "an array of an empty record behind its namesake": _after(FULL, EMPTY, kind={"type": "array", "items": "empty.X"}),
    "an array of an empty record before its namesake": _after(EMPTY, FULL, kind={"type": "array", "items": "empty.X"}),
    "an array of records that are mostly nothing": {
        "type": "array",
        "items": {
            "type": "record",
            "name": "Mostly",
            "fields": [TEXT_FIELD, *({"name": f"n{number}", "type": "null"} for number in range(1000))],
        },
    },
    "recursive": {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]},
    "recursive through a list": {
        "type": "record",
        "name": "a.Node",
        "fields": [{"name": "all", "type": {"type": "array", "items": "Node"}}],
    },
    "deep": _deep(200),
    "an array of nothing": {"type": "array", "items": "null"},
    "an array of empty records": {"type": "array", "items": {"type": "record", "name": "Void", "fields": []}},
    "an array of records of nothing": {
        "type": "array",
        "items": {"type": "record", "name": "V", "fields": [NULL_FIELD]},
    },
    "an array of fixed of no bytes": {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
    "a thousand fields": {
        "type": "record",
        "name": "Wide",
        "fields": [{"name": f"f{number}", "type": "string"} for number in range(6000)],
    },
    "no type": {"type": 7},
    "no fields": {"type": "record", "name": "R"},
    "an unknown name": "Nowhere",
}


@pytest.mark.parametrize("kind", UNSAFE.values(), ids=UNSAFE)
def test_a_schema_that_could_cost_more_than_a_record_may_is_refused(kind: Any) -> None:
    """And not tried: fastavro would end the process with a segmentation fault, or count to 2^62."""
    registry = Registry()
    registry.schemas[99] = event_schema(extra=kind)
    for _ in range(2):
        with pytest.raises(UnsafeSchema):
            registry.codec.decode(Event, HEADER.pack(0, 99) + b"\x02a" * 4 + b"\xff" * 9 + b"\x01")
    assert registry.asked == [99]


def test_a_schema_with_many_optional_parts_and_repeated_names_is_read() -> None:
    optional = [{"name": f"o{number}", "type": ["null", "string"]} for number in range(200)]
    address = {"type": "record", "name": "Address", "fields": optional}
    registry = Registry()
    extra = _after(address, kind={"type": "array", "items": "Address"})
    registry.schemas[99] = event_schema(extra=extra)
    nothing: dict[str, None] = {field["name"]: None for field in optional}  # type: ignore[misc]  # of a schema as JSON
    payload = written(99, registry.schemas[99], extra={"f0": nothing, "f1": [nothing] * 3})
    assert registry.codec.decode(Event, payload).id == "1"


def test_our_own_schemas_are_safe() -> None:
    for record in RECORDS:
        check_safe(avro.load(record))


def test_our_own_schema_is_read_as_it_is_and_a_foreign_one_is_prepared_once() -> None:
    """Each record of ours would otherwise be resolved against itself."""
    ours = Writer(avro.parsed(Event))
    assert ours.reader(Event) is ours.schema
    assert ours.readers == {}
    registry = Registry()
    registry.schemas[999] = event_schema(more="string")
    foreign = WriterSchemas({}, registry.fetch, lambda: 0.0).get(999)
    prepared = foreign.reader(Event)
    assert prepared is not foreign.schema
    assert prepared is not None
    assert foreign.reader(Event) is prepared
