"""The reference for people who write SQL is current, and its expressions read what was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import BaseModel

from nightdesk.schemas.audit_kinds import KINDS
from nightdesk.sinks.clickhouse.views import View, views
from tests.schemas.kept_details import sample
from tests.sinks import audit_reference
from tests.sinks.audit_reference import Field, fields, reference
from tests.sinks.records import land, record

PAIRS = [(kind, model) for kind, known in KINDS.items() for model in known.details]


def test_a_view_that_is_added_is_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = View(
        "toy", "-- One row.\nCREATE OR REPLACE VIEW toy\n(\n    `a` UInt8 COMMENT 'what it\\'s'\n)\nAS SELECT 1 AS a\n"
    )
    monkeypatch.setattr(audit_reference, "views", lambda: [*views(), toy])
    assert "## `toy`\n\nOne row.\n" in reference()
    assert "| `a` | UInt8 | what it's |" in reference()


def test_every_column_of_every_view_is_on_the_page() -> None:
    page = reference().split("\n## `")
    shown = {part.partition("`")[0]: part for part in page[1:]}
    missing = [
        f"{view.name}.{name}" for view in views() for name in view.columns if f"\n| `{name}` |" not in shown[view.name]
    ]
    assert missing == []


@pytest.mark.parametrize("absent", [False, True], ids=["full", "empty"])
@pytest.mark.parametrize(("kind", "model"), PAIRS, ids=[f"{kind}-{model.__name__}" for kind, model in PAIRS])
def test_every_expression_reads_its_field(client: Client, kind: str, model: type[BaseModel], absent: bool) -> None:
    detail = model.model_validate(sample(model, absent=absent))
    land(client, record(kind, 0, detail))
    for field in fields(model):
        if field.source == "detail":
            _check(client, field, [getattr(detail, field.name)], "")
        else:
            of_list = next(one for one in fields(model) if one.elements is not None and one.element == field.source)
            values = [getattr(element, field.name) for element in getattr(detail, of_list.name)]
            _check(client, field, values, f"ARRAY JOIN {of_list.sql} AS {of_list.element}")


def _check(client: Client, field: Field, values: list[Any], join: str) -> None:
    found = [row[0] for row in client.query(f"SELECT {field.sql} FROM records {join}").result_rows]
    if field.elements is not None:
        elements = [json.loads(text) for text in found[0]]
        assert [field.elements.model_validate(element) for element in elements] == list(values[0])
    else:
        assert found == values, field.sql
