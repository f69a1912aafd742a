"""Models and hand-kept Avro schemas agree field by field, and records survive the wire."""

import inspect
import types
import typing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from nightdesk.schemas import avro, records
from nightdesk.schemas.codec import Codec, RegistryUnavailable, Undecodable, UnknownSchema
from nightdesk.schemas.records import BudgetEntry, Record
from nightdesk.schemas.topics import RECORDS
from tests.schemas.samples import SAMPLES

NESTED: tuple[type[Record], ...] = (
    records.StepOutcome,
    records.CancelCondition,
    records.PastStep,
    records.Spent,
    records.Verdict,
    records.Fallback,
    records.LogPlace,
    records.CallFate,
    records.ObeyedOrder,
    records.UnreadableCharter,
)
IDS = {record: number for number, record in enumerate(RECORDS, start=1)}


def no_registry(schema_id: int) -> dict[str, Any]:
    raise UnknownSchema(f"the registry does not know schema id {schema_id}")


CODEC = Codec(IDS, no_registry)


def avro_type(annotation: Any) -> Any:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return avro_type(typing.get_args(annotation)[0])
    if origin is typing.Literal or annotation is str:
        return "string"
    if origin in (typing.Union, types.UnionType):
        some = [arg for arg in typing.get_args(annotation) if arg is not types.NoneType]
        return ["null", avro_type(some[0])]
    if origin is tuple:
        return {"type": "array", "items": avro_type(typing.get_args(annotation)[0])}
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return f"nightdesk.v1.{annotation.__name__}"
    simple = {int: "long", float: "double", bytes: "bytes", bool: "boolean"}
    return {"type": "long", "logicalType": "timestamp-micros"} if annotation is datetime else simple[annotation]


def reference(schema: Any) -> Any:
    """A nested record by its name alone, as the model's annotation gives it."""
    if isinstance(schema, dict) and schema.get("type") == "record":
        return schema["name"]
    if isinstance(schema, dict) and schema.get("type") == "array":
        return {"type": "array", "items": reference(schema["items"])}
    return [reference(branch) for branch in schema] if isinstance(schema, list) else schema


def default_of(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: default_of(field) for name, field in value.__dict__.items()}
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("record", [*RECORDS, *NESTED], ids=str)
def test_model_and_schema_agree(record: type[Record]) -> None:
    fields = {field["name"]: field for field in avro.load(record)["fields"]}
    assert list(fields) == list(record.model_fields)
    for name, field in record.model_fields.items():
        assert reference(fields[name]["type"]) == avro_type(field.annotation), name
        assert ("default" not in fields[name]) == field.is_required(), name
        if not field.is_required():
            assert fields[name]["default"] == default_of(field.default), name


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_text_of_a_record_is_bounded(record: type[Record]) -> None:
    schema = record.model_json_schema()
    parts = {record.__name__: schema, **schema.get("$defs", {})}
    unbounded = [
        f"{name}.{field}"
        for name, part in parts.items()
        for field, described in part.get("properties", {}).items()
        for given in described.get("anyOf", [described])
        if given.get("type") == "string" and not given.keys() & {"maxLength", "enum", "const", "format"}
    ]
    assert unbounded == [], "make each a Name, a Text or a LongText of schemas/bounds.py"


def test_every_schema_file_belongs_to_a_record() -> None:
    named = {path.stem.removeprefix("nightdesk.v1.") for path in Path(avro.AVSC).glob("*.avsc")}
    assert named == {record.__name__ for record in (*RECORDS, *NESTED)}


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: type(record).__name__)
def test_round_trip(record: Record) -> None:
    assert CODEC.decode(type(record), CODEC.encode(record)) == record


def test_there_is_a_sample_of_every_record() -> None:
    without = {record.__name__ for record in set(RECORDS) - {type(sample) for sample in SAMPLES}}
    assert without == set(), "add a full record of each to SAMPLES in tests/schemas/samples.py"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "0 bytes"),
        (b"", "0 bytes"),
        (b"\x00\x00", "2 bytes"),
        (b'{"id": "1"}', "first byte is 123"),
        (b"\x00\x00\x00\x03\xe7rest", "does not know schema id 999"),
        (b"\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff", "not a Event"),
    ],
)
def test_bytes_that_are_no_record_say_why(payload: bytes | None, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        CODEC.decode(records.Event, payload)


def test_bytes_after_the_record_are_an_error() -> None:
    with pytest.raises(Undecodable, match="1 bytes follow"):
        CODEC.decode(records.Event, CODEC.encode(SAMPLES[0]) + b"x")


def test_a_registry_that_is_away_is_not_the_records_fault() -> None:
    def away(_schema_id: int) -> dict[str, Any]:
        raise RegistryUnavailable("schema registry does not answer")

    payload = b"\x00\x00\x00\x00\x63" + b"abc"
    with pytest.raises(RegistryUnavailable):
        Codec(IDS, away).decode(records.Event, payload)


def test_an_older_producer_is_read_by_the_newer_schema() -> None:
    """A producer that registered the event without the fields that have defaults."""
    old = {**avro.load(records.Event), "fields": avro.load(records.Event)["fields"][:5]}
    import io

    from fastavro import parse_schema, schemaless_writer

    buffer = io.BytesIO(b"")
    buffer.write(b"\x00\x00\x00\x00\x63")
    when = datetime(2026, 1, 2, tzinfo=UTC)
    schemaless_writer(buffer, parse_schema(old), {"id": "1", "source": "s", "type": "t", "subject": "x", "time": when})
    event = Codec(IDS, lambda _: old).decode(records.Event, buffer.getvalue())
    assert event == records.Event(id="1", source="s", type="t", subject="x", time=when)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        (records.Decision, "confidence", float("nan")),
        (records.Decision, "confidence", 1.01),
        (records.Decision, "cost_microusd", -1),
        (records.Decision, "case.step", -1),
        (records.Decision, "case.spent.actions", -1),
        (records.Decision, "case.spent.external_calls", -1),
        (records.Decision, "case.spent.model_calls", -1),
        (records.Decision, "case.spent.cost_microusd", -1),
        (records.Case, "reserved_microusd", -1),
        (records.BudgetEntry, "amount_microusd", -1),
        (records.BudgetEntry, "tokens", -1),
    ],
)
def test_numbers_that_would_give_something_back_are_no_record(
    kind: type[records.Record], path: str, value: float
) -> None:
    [sample] = [sample for sample in SAMPLES if type(sample) is kind]
    with pytest.raises(Undecodable, match=path.rpartition(".")[2]):
        CODEC.decode(kind, CODEC.encode(_with(sample, path, value)))


def _with(record: records.Record, path: str, value: object) -> records.Record:
    """A copy that nobody has checked."""
    name, _, rest = path.partition(".")
    return record.model_copy(update={name: _with(getattr(record, name), rest, value) if rest else value})


def test_of_several_problems_the_first_is_named_with_its_place() -> None:
    [sample] = [sample for sample in SAMPLES if type(sample) is records.Decision]
    broken = _with(_with(sample, "case.spent.external_calls", -1), "case.spent.model_calls", -2)
    with pytest.raises(Undecodable) as refused:
        CODEC.decode(records.Decision, CODEC.encode(broken))
    first = "case.spent.external_calls: Input should be greater than or equal to 0"
    assert str(refused.value) == f"not a valid Decision: {first}"


def test_an_entry_of_the_ledger_says_nothing_bad_unless_it_is_told_to() -> None:
    """An older writer, and each writer of another kind of entry, leaves these out: they count against an agent."""
    entry = BudgetEntry(
        entry_id="e",
        kind="settle",
        agent="desk",
        case_id="c",
        amount_microusd=1,
        time=datetime(2026, 11, 20, tzinfo=UTC),
    )
    assert not any((entry.low_confidence, entry.failed, entry.refused, entry.undecided, entry.person, entry.cause))
    assert (entry.tokens, entry.step, entry.retry_after_s, entry.latency_ms) == (0, 0, 0, 0)
