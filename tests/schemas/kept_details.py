"""The kept examples of audit details: ClickHouse keeps records for years, so each form that was written must be read.

`tests/schemas/examples/<version>/<Model>.detail.json` is written once by `python -m tests.schemas.keep` and never
changed. A version holds only the models whose fields it changed.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from nightdesk.schemas.audit_kinds import KINDS
from tests.schemas.kept import EXAMPLES

MODELS = tuple(dict.fromkeys(model for kind in KINDS.values() for model in kind.details))
SUFFIX = ".detail.json"
VALUES: dict[Any, Any] = {
    str: 'it\'s "so"',
    int: 7,
    bool: True,
    datetime: datetime(2026, 11, 20, 8, 0, 9, 123456, tzinfo=UTC),
}


@dataclass(frozen=True)
class KeptDetail:
    """A detail as one version wrote it."""

    version: int
    model: type[BaseModel]

    @property
    def path(self) -> Path:
        return EXAMPLES / f"v{self.version}" / f"{self.model.__name__}{SUFFIX}"

    @property
    def written(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.path.read_text())
        return document

    def keep(self) -> None:
        """Write down a detail with every field."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(today(self.model), indent=2) + "\n")


def kept_details() -> list[KeptDetail]:
    """All of them, the oldest first."""
    by_name = {model.__name__: model for model in MODELS}
    paths = EXAMPLES.glob(f"v*/*{SUFFIX}")
    found = [KeptDetail(int(path.parent.name[1:]), by_name[path.name.removesuffix(SUFFIX)]) for path in paths]
    return sorted(found, key=lambda kept: (kept.version, kept.model.__name__))


def is_kept(model: type[BaseModel]) -> bool:
    """Whether the newest kept version of a detail has today's fields and values."""
    newest = next((kept for kept in reversed(kept_details()) if kept.model is model), None)
    return newest is not None and newest.written == today(model)


def today(model: type[BaseModel]) -> dict[str, Any]:
    """A detail with every field, as today's version writes it."""
    document: dict[str, Any] = json.loads(model.model_validate(sample(model)).model_dump_json())
    return document


def sample(model: type[BaseModel], *, absent: bool = False) -> dict[str, Any]:
    """A value for each field; null for each that may be null, if `absent`."""
    return {name: _value(field.annotation, absent=absent) for name, field in model.model_fields.items()}


def _value(annotation: Any, *, absent: bool) -> Any:
    inner = [one for one in get_args(annotation) if one is not NoneType]
    if NoneType in get_args(annotation):
        return None if absent else _value(inner[0], absent=absent)
    if get_origin(annotation) is Literal:
        return inner[0]
    if get_origin(annotation) is tuple:
        return [sample(inner[0], absent=absent)] * 2
    if hasattr(annotation, "__metadata__"):  # Annotated: a bound
        return _value(inner[0], absent=absent)
    return VALUES[annotation]
