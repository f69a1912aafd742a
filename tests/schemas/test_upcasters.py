"""A word whose meaning changed is lifted wherever an old record is read, nested ones too; others cost nothing.

The records here have an older version of their own: `Walk` once had kilometres, then hectometres, today metres.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from nightdesk.schemas import avro, upcasters
from nightdesk.schemas.codec import Codec, Undecodable
from nightdesk.schemas.records import Event, Record
from nightdesk.schemas.upcasters import Upcaster

OLD_ID = 9


def _schema(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": f"nightdesk.v1.{name}", "fields": list(fields)}


WALK = _schema("Walk", {"name": "where", "type": "string"}, {"name": "length_m", "type": "long", "default": 0})
DAY = _schema("Day", {"name": "walks", "type": {"type": "array", "items": "nightdesk.v1.Walk"}})
IN_KILOMETRES = _schema(
    "Walk",
    {"name": "where", "type": "string"},
    {"name": "length_km", "type": "double"},
    {"name": "gone", "type": "int"},
)
IN_HECTOMETRES = _schema("Walk", {"name": "length_hm", "type": "long"}, {"name": "where", "type": "string"})


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Record]:
    """A record that holds others, as today's program defines it."""
    for schema in (WALK, DAY):
        (tmp_path / f"{schema['name']}.avsc").write_text(json.dumps(schema))
    monkeypatch.setattr(avro, "AVSC", tmp_path)
    both = (
        Upcaster("Walk", "length_km", lambda kilometres: {"length_hm": round(kilometres * 10)}),
        Upcaster("Walk", "length_hm", lambda hectometres: {"length_m": hectometres * 100}),
    )
    monkeypatch.setattr(upcasters, "UPCASTERS", both)

    class Walk(Record):
        where: str
        length_m: int = 0

    class Day(Record):
        walks: tuple[Walk, ...]

    return Day


def _written(walk: dict[str, Any], **fields: Any) -> tuple[dict[str, Any], bytes]:
    schema = _schema("Day", {"name": "walks", "type": {"type": "array", "items": walk}})
    body = BytesIO()
    schemaless_writer(body, parse_schema(schema), {"walks": [fields]})
    return schema, b"\x00" + OLD_ID.to_bytes(4, "big") + body.getvalue()


@pytest.mark.parametrize(
    ("walk", "fields"),
    [
        pytest.param(IN_KILOMETRES, {"where": "hill", "length_km": 2.5, "gone": 1}, id="two versions ago"),
        pytest.param(IN_HECTOMETRES, {"where": "hill", "length_hm": 25}, id="one version ago"),
        pytest.param(WALK, {"where": "hill", "length_m": 2500}, id="another producer of today"),
    ],
)
def test_an_older_version_says_the_same_in_todays_words(
    day: type[Record], walk: dict[str, Any], fields: dict[str, Any]
) -> None:
    schema, payload = _written(walk, **fields)
    codec = Codec({day: 1}, lambda _: schema)
    for _ in range(2):
        assert codec.decode(day, payload) == day.model_validate({"walks": [{"where": "hill", "length_m": 2500}]})


def test_a_table_that_an_older_version_wrote_says_the_same_too(day: type[Record]) -> None:
    today = day.model_validate({"walks": [{"where": "hill", "length_m": 2500}]})
    assert day.model_validate_json('{"walks": [{"where": "hill", "length_km": 2.5}]}') == today
    assert day.model_validate_json(today.model_dump_json()) == today


def test_a_word_of_no_version_is_refused(day: type[Record]) -> None:
    with pytest.raises(ValueError, match="length_miles"):
        day.model_validate_json('{"walks": [{"where": "hill", "length_miles": 2.5}]}')


def test_a_word_that_cannot_be_lifted_is_the_records_fault(day: type[Record]) -> None:
    schema, payload = _written(IN_KILOMETRES, where="hill", length_km=float("nan"), gone=1)
    with pytest.raises(Undecodable, match="NaN"):
        Codec({day: 1}, lambda _: schema).decode(day, payload)


def test_a_record_without_upcasters_pays_nothing() -> None:
    assert Event.__pydantic_core_schema__["type"] == "model"
