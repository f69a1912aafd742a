"""The field types of a charter: expressions, templates, JSON Schemas, files, and the names of actions and handlers.

A field that refers to another part of the charter is checked against `Names`, which `parsing.py` collects from the text
first, so that one pass finds all problems. A charter from its own JSON (`charter_from_json`) was checked when it was
written, and has no `Names`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    WithJsonSchema,
)

from nightdesk.processors.charter.json_schemas import validator_for
from nightdesk.processors.expressions import compile_expression
from nightdesk.processors.json_text import DataInvalid, parse_exact
from nightdesk.processors.scopes import BODY, CASE, DECISION, EVENT, PROMPT, STEP, UNDO
from nightdesk.processors.templates import check_template

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"


class Part(BaseModel):
    """Base of all sections of a charter: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


@dataclass(frozen=True, slots=True)
class Names:
    """What the parts of one charter may refer to. `read_only` has the handlers that change nothing."""

    actions: frozenset[str]
    handlers: frozenset[str]
    read_only: frozenset[str]
    files: Mapping[str, str]


class File(Part):
    """A text file beside the charter, by its name; its text is part of the charter and of its version."""

    name: str = ""
    text: str


def _names(info: ValidationInfo) -> Names | None:
    return info.context if isinstance(info.context, Names) else None


def _known(kind: str, name: str, known: frozenset[str]) -> str:
    if name not in known:
        raise ValueError(f"there is no {kind} {name!r}; the charter has: {', '.join(sorted(known)) or 'none'}")
    return name


def _known_action(name: str, info: ValidationInfo) -> str:
    names = _names(info)
    return name if names is None else _known("action", name, names.actions)


def _known_handler(name: str, info: ValidationInfo) -> str:
    names = _names(info)
    return name if names is None else _known("handler", name, names.handlers)


def _read_file(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    names = _names(info)
    if names is None or value not in names.files:
        raise ValueError(f"there is no file {value!r} beside the charter")
    return {"name": value, "text": names.files[value]}


def _read_schema(value: Any, info: ValidationInfo) -> Any:
    """A JSON Schema, inline or in a file, as a mapping."""
    if not isinstance(value, str):
        return value
    try:
        return parse_exact(_read_file(value, info)["text"], value)
    except DataInvalid as error:
        raise ValueError(str(error)) from None


def _check_schema(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    validator_for(value)
    return value


def _not_empty(value: Any) -> Any:
    if not value:
        raise ValueError("is empty")
    return value


def _check_prompt(file: File) -> File:
    check_template(file.text, PROMPT)
    return file


def _expression(names: frozenset[str]) -> AfterValidator:
    def check(source: str) -> str:
        compile_expression(source, names)
        return source

    return AfterValidator(check)


def _template(names: frozenset[str]) -> AfterValidator:
    def check(value: Any) -> Any:
        check_template(value, names)
        return value

    return AfterValidator(check)


# pydantic's own minimum length would count only the valid items.
NOT_EMPTY = AfterValidator(_not_empty)

Name = Annotated[str, Field(pattern=NAME)]
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
ActionName = Annotated[Name, AfterValidator(_known_action)]
HandlerName = Annotated[Name, AfterValidator(_known_handler)]

EventExpression = Annotated[str, Field(description="CEL over event"), _expression(EVENT)]
CaseExpression = Annotated[str, Field(description="CEL over event and case"), _expression(CASE)]
DecisionExpression = Annotated[str, Field(description="CEL over event, case, decision"), _expression(DECISION)]

CaseTemplate = Annotated[JsonValue, Field(description="Templates over event and case"), _template(CASE)]
CaseText = Annotated[str, Field(description="Template over event and case"), _template(CASE)]
StepTemplate = Annotated[JsonValue, Field(description="Templates over event, case, decision, steps"), _template(STEP)]
UndoTemplate = Annotated[JsonValue, Field(description="Templates as in a step, and result"), _template(UNDO)]
BodyTemplate = Annotated[JsonValue, Field(description="Templates over parameters"), _template(BODY)]

_FILE_SCHEMA = WithJsonSchema({"type": "string", "description": "A file beside the charter"})
TextFile = Annotated[File, BeforeValidator(_read_file), _FILE_SCHEMA]
PromptFile = Annotated[TextFile, AfterValidator(_check_prompt)]
JsonSchema = Annotated[
    dict[str, JsonValue],
    BeforeValidator(_read_schema),
    AfterValidator(_check_schema),
    WithJsonSchema({"type": ["object", "string"], "description": "JSON Schema, or the name of a file that holds it"}),
]
