"""Encodes and decodes records in the Confluent wire format: a zero byte, the schema's id, the Avro body.

A failed decoding raises `Undecodable` (the record is at fault: it becomes a dead letter) or `RegistryUnavailable` (the
record is not at fault: retry and lose nothing).
"""

import asyncio
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from io import BytesIO
from typing import Any, TypeVar
from uuid import UUID

from fastavro import schemaless_reader
from pydantic import ValidationError

from nightdesk.schemas import avro
from nightdesk.schemas.encoders import encoder
from nightdesk.schemas.records import AuditRecord, Record
from nightdesk.schemas.undecodable import Undecodable, UnknownSchema, UnsafeSchema
from nightdesk.schemas.writer_schemas import Writer, WriterSchemas

__all__ = ["Codec", "RegistryUnavailable", "Undecodable", "UnknownSchema", "UnsafeSchema"]

R = TypeVar("R", bound=Record)

HEADER = struct.Struct(">bI")
MAGIC = 0
# The part of an error that a reason quotes: the error text of a hostile record can be as long as the record.
QUOTED_CHARACTERS = 500


class RegistryUnavailable(ConnectionError):
    """The registry did not answer; the record may be valid."""


class Codec:
    """Encodes with the ids that the registry gave our schemas; decodes any compatible version that a producer used."""

    def __init__(
        self,
        ids: Mapping[type[Record], int],
        fetch: Callable[[int], dict[str, Any]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._encoders = {
            record: (HEADER.pack(MAGIC, schema_id), encoder(avro.parsed(record))) for record, schema_id in ids.items()
        }
        self._audit_header = self._encoders[AuditRecord][0] if AuditRecord in ids else None
        ours = {schema_id: avro.parsed(record) for record, schema_id in ids.items()}
        self._writers = WriterSchemas(ours, fetch, monotonic)

    def encode(self, record: Record) -> bytes:
        """The record in wire format. Raises KeyError for a record type without a registered schema."""
        header, write = self._encoders[type(record)]
        return header + write(record)

    def audit_kind(self, payload: bytes | None) -> str | None:
        """The kind of an audit record, of which nothing else is read; None for a record that has to be decoded to know
        it, because our own schema did not write it, or because it is malformed.
        """
        if payload is None or self._audit_header is None or not payload.startswith(self._audit_header):
            return None
        _, kind_at = _short_text(payload, HEADER.size)
        kind, _ = _short_text(payload, kind_at)
        return kind or None

    def must_ask(self, payload: bytes | None) -> bool:
        """Whether decoding would ask the registry. That is a request, so it has to be done off the event loop: see
        `ask`.
        """
        if not payload or len(payload) <= HEADER.size:
            return False
        magic, schema_id = HEADER.unpack_from(payload)
        return magic == MAGIC and not self._writers.is_decided(schema_id)

    async def ask(self, payload: bytes | None) -> None:
        """Ask for the schema of a payload in a thread. Raises `RegistryUnavailable`; `decode` then needs no request,
        and reports every other error.
        """
        if payload is None:
            return
        schema_id = HEADER.unpack_from(payload)[1]
        with suppress(Undecodable):
            await asyncio.to_thread(self._writers.get, schema_id)

    def decode(self, kind: type[R], payload: bytes | None) -> R:
        """The record in `payload`. Raises `Undecodable` with the reason, or `RegistryUnavailable`."""
        if not payload or len(payload) <= HEADER.size:
            raise Undecodable(f"{len(payload or b'')} bytes are too few for an Avro record in Confluent wire format")
        magic, schema_id = HEADER.unpack_from(payload)
        if magic != MAGIC:
            raise Undecodable(f"first byte is {magic}, not 0: produce Avro in Confluent wire format")
        datum = _read(kind, schema_id, self._writers.get(schema_id), payload)
        try:
            return kind.model_validate(datum)
        except ValidationError as error:
            raise Undecodable(f"not a valid {kind.__name__}: {_first_problem(error)}") from error


def _short_text(payload: bytes, at: int) -> tuple[str, int]:
    """The text of less than 64 bytes that begins at `at`, and where it ends; empty if there is no such text. Avro puts
    twice its length before it, in one byte.
    """
    size = payload[at] if at < len(payload) else 1
    begin, end = at + 1, at + 1 + size // 2
    is_short = size < 0x80 and not size % 2 and end <= len(payload)
    return (payload[begin:end].decode(errors="replace"), end) if is_short else ("", len(payload))


def _read(kind: type[Record], schema_id: int, writer: Writer, payload: bytes) -> Any:
    """The fields of the record in `payload`, by the writer's schema."""
    body = BytesIO(payload)
    body.seek(HEADER.size)
    try:
        reader = writer.reader(kind)
        ours = writer.schema is reader
        datum = schemaless_reader(body, writer.schema, None if ours else reader)
    except OverflowError as error:  # of Python's `datetime`
        raise Undecodable(
            f"a time of the {kind.__name__} is outside the years 1 to 9999: send microseconds since 1970 UTC, and no"
            " smaller unit"
        ) from error
    except Exception as error:
        text = writer.difference(kind) or repr(error)[:QUOTED_CHARACTERS]
        raise Undecodable(f"not a {kind.__name__} as schema {schema_id} writes it: {text}") from error
    if body.tell() != len(payload):
        raise Undecodable(f"{len(payload) - body.tell()} bytes follow after the {kind.__name__}")
    return datum if ours else _plain(kind, schema_id, datum)


def _plain(kind: type[Record], schema_id: int, datum: Any) -> Any:
    """The values of a foreign schema's logical types as plain values: a UUID, a decimal or a date as its text."""
    for name in avro.moments(kind):
        moment = datum.get(name)
        if isinstance(moment, int) or (isinstance(moment, datetime) and moment.tzinfo is None):
            raise Undecodable(
                f"{name} is a number or a local time in schema {schema_id}, so its point in time is unknown: use"
                " the logical type timestamp-micros or timestamp-millis"
            )
    return {name: _as_text(value) for name, value in datum.items()}


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_text(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_text(part) for part in value]
    if isinstance(value, date | time_of_day):  # a datetime is also a date
        return value.isoformat()
    return str(value) if isinstance(value, UUID | Decimal) else value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg'][:QUOTED_CHARACTERS]}"
