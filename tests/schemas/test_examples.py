"""Every example of every version is decoded for ever, and no schema changes without an example of its own."""

from collections.abc import Iterator
from typing import Any

import pytest

from nightdesk.schemas import avro
from nightdesk.schemas.records import Record
from nightdesk.schemas.topics import RECORDS
from nightdesk.schemas.upcasters import UPCASTERS
from tests.schemas.kept import Example, examples, is_kept, read


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"v{example.version}-{example.record.__name__}")
def test_an_example_still_says_what_it_said(example: Example) -> None:
    assert read(example) == example.record.model_validate_json(example.path(".json").read_text())


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_version_is_kept(record: type[Record]) -> None:
    assert is_kept(record), "the schema changed: run `python -m tests.schemas.keep` and commit what it writes"


def test_every_upcaster_has_an_example_and_lifts_what_is_gone() -> None:
    kept = {word for example in examples() for word in _words(example.schema)}
    today = {word for record in RECORDS for word in _words(avro.load(record))}
    lifted = {(f"nightdesk.v1.{upcaster.record}", upcaster.word) for upcaster in UPCASTERS}
    assert lifted <= kept
    assert not lifted & today


def _words(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, fields in avro.defined_in(schema):
        yield from ((name, field["name"]) for field in fields)
