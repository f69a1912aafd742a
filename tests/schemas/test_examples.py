"""Every example of every version is decoded for ever: `schemas/examples/<version>/` is written once and never changed.

`<Record>.avro` is a body as that version wrote it, `<Record>.json` what it says. When a schema changes, keep the
folder, put the schema that wrote it beside it as `<Record>.avsc`, and add a folder for the new version.
"""

import json
from io import BytesIO
from pathlib import Path

import pytest
from fastavro import parse_schema, schemaless_reader

from schemas import avro, records
from schemas.records import RECORDS

EXAMPLES = Path(records.__file__).parent / "examples"
FILES = sorted(EXAMPLES.glob("*/*.avro"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_still_says_what_it_said(path: Path) -> None:
    record = next(record for record in RECORDS if record.__name__ == path.stem)
    written = path.with_suffix(".avsc")
    writer = parse_schema(json.loads(written.read_text())) if written.exists() else avro.parsed(record)
    datum = schemaless_reader(BytesIO(path.read_bytes()), writer, avro.parsed(record))
    assert record.model_validate(datum) == record.model_validate_json(path.with_suffix(".json").read_text())


def test_there_is_an_example_of_every_record() -> None:
    assert {path.stem for path in FILES} == {record.__name__ for record in RECORDS}
