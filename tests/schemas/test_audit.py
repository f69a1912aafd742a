"""The detail of each kind of audit record comes back as it was written, and nothing else is taken for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from nightdesk.schemas import audit
from nightdesk.schemas.audit import ActionDetail, Detail
from nightdesk.schemas.audit_kinds import KINDS, detail_of, read
from nightdesk.schemas.records import AuditKind, AuditRecord
from tests.processors.examples import NOW
from tests.schemas.kept_details import MODELS, KeptDetail, is_kept, kept_details

PAIRS = [(kind, model) for kind, known in KINDS.items() for model in known.details]


def record(kind: AuditKind, detail: str) -> AuditRecord:
    return AuditRecord(record_id="r", kind=kind, time=NOW, subject="s", status="running", detail=detail)


def test_every_kind_is_known() -> None:
    assert tuple(KINDS) == get_args(AuditKind)


@pytest.mark.parametrize(("kind", "model"), PAIRS, ids=[f"{kind}-{model.__name__}" for kind, model in PAIRS])
@given(data=st.data())
def test_a_detail_comes_back_as_it_was_written(kind: AuditKind, model: type[BaseModel], data: st.DataObject) -> None:
    written = data.draw(st.builds(model))
    assert detail_of(record(kind, written.model_dump_json())) == written


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["null", "[]", "1", "{}", "{", "", '{"outcomes": [{"step_id": 1}]}', '"\\ud800"'])
def test_what_no_stage_writes_is_no_detail(kind: AuditKind, text: str) -> None:
    assert detail_of(record(kind, text)) is None


def test_a_field_of_a_newer_version_is_ignored_by_readers_and_refused_to_writers() -> None:
    newer = '{"outcomes": [{"step_id": "s", "position": 0, "handler": "h", "status": "done",'
    newer += ' "started_at": "2026-11-20T08:00:00Z", "cost": 1}], "more": true}'
    detail = read(ActionDetail, newer)
    assert detail is not None
    assert detail.outcomes[0].step_id == "s"
    with pytest.raises(ValidationError):
        ActionDetail.model_validate({"outcomes": (), "more": True})


@pytest.mark.parametrize("model", dict.fromkeys(model for _, model in PAIRS), ids=lambda model: str(model.__name__))
def test_every_field_has_a_description(model: type[BaseModel]) -> None:
    assert [name for name, field in _fields(model) if not field.description] == []


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield name, field
        for inner in get_args(field.annotation):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from ((f"{name}.{below}", found) for below, found in _fields(inner))


@pytest.mark.parametrize("kept", kept_details(), ids=lambda kept: f"v{kept.version}-{kept.model.__name__}")
def test_a_detail_of_every_version_is_read(kept: KeptDetail) -> None:
    """What it said is still said, under the same names."""
    detail = read(kept.model, json.dumps(kept.written))
    assert detail is not None
    told = json.loads(detail.model_dump_json())
    assert _of(told, kept.written) == kept.written


def _of(told: object, written: object) -> object:
    """What `told` says of what was written: fields that came later are left out, also inside of others."""
    if isinstance(told, dict) and isinstance(written, dict):
        return {name: _of(told[name], value) for name, value in written.items()}
    if isinstance(told, list) and isinstance(written, list) and len(told) == len(written):
        return [_of(one, before) for one, before in zip(told, written, strict=True)]
    return told


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.__name__))
def test_every_version_of_a_detail_is_kept(model: type[BaseModel]) -> None:
    assert is_kept(model), "a detail changed: run `python -m tests.schemas.keep` and commit what it writes"


def test_every_model_belongs_to_a_kind() -> None:
    used = {model for known in KINDS.values() for model in known.details}
    assert {model for model in Detail.__subclasses__() if model.__module__ == audit.__name__} <= used


def test_every_path_in_sql_is_a_field_of_a_detail() -> None:
    """A renamed field would leave SQL that finds nothing, without an error."""
    models = {model for _, model in PAIRS}
    # The result of a `remind` step, which is a text inside a detail, says the event's type.
    known = {name.rpartition(".")[2] for model in models for name, _ in _fields(model)} | {"type"}
    folder = files("nightdesk.sinks")
    sql = [folder.joinpath("clickhouse", name) for name in ("views", "migrations")]
    sources = [source for place in (*sql, folder) for source in place.iterdir()]
    paths = [
        path
        for source in sources
        if source.name.endswith((".sql", ".py"))
        for path in re.findall(r"JSONExtract\w*\([\w.]+, '(\w+)'", source.read_text(encoding="utf-8"))
    ]
    assert len(paths) > 30
    assert set(paths) - known == set()
