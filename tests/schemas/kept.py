"""The kept examples: for every version of every record the schema that wrote it, its bytes and what they say.

`tests/schemas/examples/<version>/<Record>.avsc|.avro|.json` is written once by `python -m tests.schemas.keep` and never
changed. A version holds only the records that it changed.
"""

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import schemaless_writer

from nightdesk.schemas import avro
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import Record
from nightdesk.schemas.topics import RECORDS

EXAMPLES = Path(__file__).parent / "examples"
# Of the registry that the tests pretend to have: today's schemas have the ids before it.
OLDER_ID = len(RECORDS) + 1


@dataclass(frozen=True)
class Example:
    """One record as one version wrote it."""

    version: int
    record: type[Record]

    @property
    def schema(self) -> dict[str, Any]:
        written: dict[str, Any] = json.loads(self.path(".avsc").read_text())
        return written

    def path(self, suffix: str) -> Path:
        return EXAMPLES / f"v{self.version}" / f"{self.record.__name__}{suffix}"

    def keep(self, record: Record) -> None:
        """Write it down, in today's schema."""
        self.path("").parent.mkdir(parents=True, exist_ok=True)
        self.path(".avsc").write_text(json.dumps(avro.load(self.record), indent=1, sort_keys=True) + "\n")
        self.path(".json").write_text(record.model_dump_json(indent=2) + "\n")
        body = BytesIO()
        schemaless_writer(body, avro.parsed(self.record), record.model_dump())
        self.path(".avro").write_bytes(body.getvalue())


def examples() -> list[Example]:
    """All of them, oldest first."""
    by_name = {record.__name__: record for record in RECORDS}
    found = [Example(int(path.parent.name[1:]), by_name[path.stem]) for path in EXAMPLES.glob("v*/*.avro")]
    return sorted(found, key=lambda example: (example.version, example.record.__name__))


def newest(record: type[Record]) -> Example | None:
    """The last version that was kept of a record."""
    return next((example for example in reversed(examples()) if example.record is record), None)


def is_kept(record: type[Record]) -> bool:
    """Whether the newest kept version is today's. Comments are not part of a version."""
    last = newest(record)
    return last is not None and _uncommented(last.schema) == _uncommented(avro.load(record))


def read(example: Example) -> Record:
    """The example as a worker of today reads it from a topic."""
    ids = {record: number for number, record in enumerate(RECORDS, start=1)}
    codec = Codec(ids, lambda _: example.schema)
    return codec.decode(example.record, b"\x00" + OLDER_ID.to_bytes(4, "big") + example.path(".avro").read_bytes())


def _uncommented(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _uncommented(value) for key, value in schema.items() if key != "doc"}
    return [_uncommented(part) for part in schema] if isinstance(schema, list) else schema
