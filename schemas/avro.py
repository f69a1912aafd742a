"""The hand-written `.avsc` files as parsed Avro schemas, one for each record.

A file refers to nested records by name (`nightdesk.v1.Event`); `load` resolves them to one schema, so the registry
needs no references.
"""

import copy
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

from fastavro.schema import load_schema, parse_schema

from nightdesk.schemas import upcasters
from nightdesk.schemas.records import Record

AVSC = Path(__file__).parent / "avsc"


@cache
def load(record: type[Record]) -> dict[str, Any]:
    """The self-contained schema of a record, as JSON data."""
    return cast(dict[str, Any], load_schema(str(AVSC / f"nightdesk.v1.{record.__name__}.avsc"), _write_hint=False))


@cache
def parsed(record: type[Record]) -> dict[str, Any]:
    """The same schema, parsed for fastavro's reader and for our encoders."""
    return cast(dict[str, Any], _interned(parse_schema(load(record))))


def _interned(schema: Any) -> Any:
    """The same schema with interned names, like the names of our fields. Two dictionaries that share a key object find
    it by identity, without comparing characters, and validating what was read consists mostly of such lookups.
    """
    if isinstance(schema, str):
        return sys.intern(schema)
    if isinstance(schema, list):
        return [_interned(part) for part in schema]
    if isinstance(schema, dict):
        return {sys.intern(name): _interned(part) for name, part in schema.items()}
    return schema


@cache
def moments(record: type[Record]) -> tuple[str, ...]:
    """The fields that contain a timestamp."""
    return tuple(field["name"] for field in parsed(record)["fields"] if _is_moment(field["type"]))


def _is_moment(kind: Any) -> bool:
    if isinstance(kind, list):
        return any(map(_is_moment, kind))
    return isinstance(kind, dict) and kind.get("logicalType") == "timestamp-micros"


def text(record: type[Record]) -> str:
    """The schema as the registry stores it."""
    return json.dumps(load(record))


def reader_for(record: type[Record], writer: dict[str, Any]) -> dict[str, Any]:
    """The schema for reading what `writer` wrote: today's, plus the older fields that an upcaster converts."""
    written = {name: {field["name"]: field for field in fields} for name, fields in defined_in(writer)}
    wider, widened = copy.deepcopy(load(record)), False
    for name, fields in list(defined_in(wider)):
        for upcaster in upcasters.upcasters_of(name.rpartition(".")[2]):
            if upcaster.word in written.get(name, {}):
                fields.append(written[name][upcaster.word])
                widened = True
    return cast(dict[str, Any], parse_schema(wider)) if widened else parsed(record)


def defined_in(schema: Any) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each record that a loaded schema defines, at any depth: its name and its fields."""
    if isinstance(schema, dict):
        if schema.get("type") == "record":
            yield schema["name"], schema["fields"]
        for part in ("fields", "type", "items"):
            yield from defined_in(schema.get(part))
    elif isinstance(schema, list):
        for part in schema:
            yield from defined_in(part)
