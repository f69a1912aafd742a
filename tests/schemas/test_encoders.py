"""What our encoders write is, byte for byte, what fastavro writes."""

from datetime import UTC, datetime
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from nightdesk.schemas import avro
from nightdesk.schemas.encoders import UnknownAvroType, encoder
from nightdesk.schemas.records import Record
from tests.schemas.samples import SAMPLES

MOMENT = {"type": "long", "logicalType": "timestamp-micros"}
TYPES = {
    "number": "long",
    "text": "string",
    "is_so": "boolean",
    "share": "double",
    "content": "bytes",
    "at": MOMENT,
    "texts": {"type": "array", "items": "string"},
}
FIELDS = [*TYPES.items(), *((f"maybe_{name}", ["null", kind]) for name, kind in TYPES.items())]
SCHEMA = {"type": "record", "name": "Anything", "fields": [{"name": name, "type": kind} for name, kind in FIELDS]}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.integers(-(2**63), 2**63 - 1),
    "text": st.text(),
    "is_so": st.booleans(),
    "share": st.floats(allow_nan=False),
    "content": st.binary(),
    "at": st.datetimes(timezones=st.just(UTC)),
    "texts": st.lists(st.text(), max_size=3),
}
ANYTHING = st.fixed_dictionaries(VALUES | {f"maybe_{name}": st.none() | values for name, values in VALUES.items()})
PLAIN = {"is_so": False, "share": 0.5, "content": b"", "at": datetime(2026, 1, 1, tzinfo=UTC), "texts": []}


def plain(number: int, text: str) -> dict[str, Any]:
    values = {"number": number, "text": text, **PLAIN}
    return values | {f"maybe_{name}": value for name, value in values.items()}


def by_fastavro(schema: Any, datum: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    schemaless_writer(buffer, parse_schema(schema), datum)
    return buffer.getvalue()


def as_datum(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: as_datum(getattr(value, name)) for name in type(value).model_fields}
    return [as_datum(item) for item in value] if isinstance(value, tuple) else value


@given(ANYTHING)
@example(plain(4095, "x" * 4095))
@example(plain(4096, "x" * 4096))
@example(plain(-1, "ä" * 2048))
def test_any_value_of_any_type(values: dict[str, Any]) -> None:
    assert encoder(SCHEMA)(SimpleNamespace(**values)) == by_fastavro(SCHEMA, values)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_each_record(sample: Record) -> None:
    schema = avro.parsed(type(sample))
    assert encoder(schema)(sample) == by_fastavro(avro.load(type(sample)), as_datum(sample))


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_that_is_no_long_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        encoder(SCHEMA)(SimpleNamespace(**plain(number, "")))


def test_a_record_with_one_field() -> None:
    schema = {"type": "record", "name": "One", "fields": [{"name": "number", "type": "long"}]}
    assert encoder(schema)(SimpleNamespace(number=7)) == by_fastavro(schema, {"number": 7})


@pytest.mark.parametrize("kind", ["float", ["string", "null"], {"type": "long", "logicalType": "timestamp-millis"}])
def test_a_type_without_an_encoder_is_named(kind: Any) -> None:
    with pytest.raises(UnknownAvroType, match="no encoder"):
        encoder({"type": "record", "name": "New", "fields": [{"name": "new", "type": kind}]})
