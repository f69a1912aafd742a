"""Records to bytes and back, in the Confluent wire format: a zero byte, the schema's id, the Avro body.

Called by every stage and the sink through `runtime`, and by the CLI. Decoding says which of two things went wrong:
`Undecodable` (the record is at fault: a dead letter) or `RegistryUnavailable` (the record is not: try again, lose
nothing).
"""

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, TypeVar

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from pydantic import ValidationError

from schemas import avro
from schemas.records import Record

R = TypeVar("R", bound=Record)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HEADER = struct.Struct(">bI")
MAGIC = 0
# More unknown ids than this are not kept: an attacker's random ids must not fill the memory.
UNKNOWN_IDS_AT_MOST = 1000


class Undecodable(ValueError):
    """The bytes are not a record of this topic; the message says in what way."""


class UnknownSchema(Undecodable):
    """The registry does not know the schema id."""


class RegistryUnavailable(ConnectionError):
    """The registry did not answer; the record may be fine."""


class Codec:
    """Encodes with the ids that the registry gave our schemas; decodes whatever compatible version a producer used."""

    def __init__(self, ids: Mapping[type[Record], int], fetch: Callable[[int], dict[str, Any]]) -> None:
        self._headers = {record: HEADER.pack(MAGIC, schema_id) for record, schema_id in ids.items()}
        self._writers = {schema_id: avro.parsed(record) for record, schema_id in ids.items()}
        # What to read an older version with, for each record that is read from it.
        self._readers: dict[tuple[type[Record], int], dict[str, Any]] = {}
        self._fetch = fetch
        self._unknown: set[int] = set()

    def encode(self, record: Record) -> bytes:
        """The record in wire format. KeyError for a record type without a registered schema."""
        kind = type(record)
        buffer = BytesIO()
        buffer.write(self._headers[kind])
        schemaless_writer(buffer, avro.parsed(kind), _datum(record))
        return buffer.getvalue()

    def decode(self, kind: type[R], payload: bytes | None) -> R:
        """The record in `payload`. Raises `Undecodable` with the reason, or `RegistryUnavailable`."""
        if not payload or len(payload) <= HEADER.size:
            raise Undecodable(f"{len(payload or b'')} bytes are too few for an Avro record in Confluent wire format")
        magic, schema_id = HEADER.unpack_from(payload)
        if magic != MAGIC:
            raise Undecodable(f"first byte is {magic}, not 0: produce Avro in Confluent wire format")
        writer = self._writer(schema_id)
        reader = self._reader(kind, schema_id, writer)
        body = BytesIO(payload)
        body.seek(HEADER.size)
        try:
            datum = schemaless_reader(body, writer, None if writer is reader else reader)
        except Exception as error:
            raise Undecodable(f"not a {kind.__name__} as schema {schema_id} writes it: {error!r}") from error
        if body.tell() != len(payload):
            raise Undecodable(f"{len(payload) - body.tell()} bytes follow after the {kind.__name__}")
        try:
            return kind.model_validate(datum)
        except ValidationError as error:
            raise Undecodable(f"not a valid {kind.__name__}: {_first_problem(error)}") from error

    def _reader(self, kind: type[Record], schema_id: int, writer: dict[str, Any]) -> dict[str, Any]:
        if writer is avro.parsed(kind):
            return writer
        known = self._readers.get((kind, schema_id))
        if known is None:
            known = self._readers[kind, schema_id] = avro.reader_for(kind, writer)
        return known

    def _writer(self, schema_id: int) -> dict[str, Any]:
        known = self._writers.get(schema_id)
        if known is not None:
            return known
        if schema_id in self._unknown:
            raise UnknownSchema(f"the registry does not know schema id {schema_id}")
        try:
            schema = parse_schema(self._fetch(schema_id))
        except UnknownSchema:
            if len(self._unknown) < UNKNOWN_IDS_AT_MOST:
                self._unknown.add(schema_id)
            raise
        self._writers[schema_id] = schema  # type: ignore[assignment]  # fastavro types a schema as str | list | dict
        return self._writers[schema_id]


def _datum(record: Record) -> dict[str, Any]:
    # Not model_dump(): this is on the path of every record, and most of its fields are written as they are.
    datum = record.__dict__.copy()
    for name in avro.moments(type(record)):
        moment = datum[name]
        if moment is not None:
            datum[name] = (moment - EPOCH) // MICROSECOND  # as fastavro does it, in half the time
    for name, branch in avro.nesting(type(record)):
        value = datum[name]
        if type(value) is tuple:
            datum[name] = [_datum(item) for item in value]
        elif value is not None:
            datum[name] = _datum(value) if branch is None else (branch, _datum(value))
    return datum


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
