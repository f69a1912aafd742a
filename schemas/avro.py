"""The hand-kept `.avsc` files as parsed Avro schemas, one for each record.

Called by the codec, by `nightdesk schemas register` and by the tests that hold models and schemas together. A file
names the records it nests (`nightdesk.v1.Event`); `load` resolves them to one schema that a registry takes without
references.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, cast

from fastavro.schema import load_schema, parse_schema

from schemas.records import Record

AVSC = Path(__file__).parent / "avsc"


@cache
def load(record: type[Record]) -> dict[str, Any]:
    """The self-contained schema of a record, as JSON data."""
    return cast(dict[str, Any], load_schema(str(AVSC / f"nightdesk.v1.{record.__name__}.avsc"), _write_hint=False))


@cache
def parsed(record: type[Record]) -> dict[str, Any]:
    """The same, parsed for fastavro's reader and writer."""
    return cast(dict[str, Any], parse_schema(load(record)))


def text(record: type[Record]) -> str:
    """The schema as the registry stores it."""
    return json.dumps(load(record))
