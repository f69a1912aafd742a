"""The field types of a charter: expressions, templates, JSON Schemas, files and the names of actions and handlers.

`model.py` and `playbooks.py` are made of them. A field that refers to another part of the charter is checked against
`Names`, which `parsing.py` gathers from the text first, so that all problems are found in one pass. A charter from its
own JSON (`charter_from_json`) was checked when it was made and has no `Names`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import jsonschema_rs
import orjson
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

from processors.charter.json_schemas import validator_for
from processors.expressions import compile_expression
from processors.scopes import BODY, DECISION, EVENT, PROMPT, STEP, UNDO
from processors.templates import check_template

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"


class Part(BaseModel):
    """What all sections of a charter share: frozen, and a key that is not in the language is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


@dataclass(frozen=True, slots=True)
class Names:
    """What the parts of one charter may refer to. `read_only` are the handlers that change nothing."""

    actions: frozenset[str]
    handlers: frozenset[str]
    read_only: frozenset[str]
    files: Mapping[str, str]


class File(Part):
    """A text beside the charter, by its name; the text is part of the charter and of its version."""

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
        return orjson.loads(_read_file(value, info)["text"])
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{value}: not JSON: {error}") from None


def _check_schema(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        validator_for(value)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise ValueError(f"not a JSON Schema: {str(error).splitlines()[0]}") from None
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


# Where pydantic's own minimum length would count only the items that are right.
NOT_EMPTY = AfterValidator(_not_empty)

Name = Annotated[str, Field(pattern=NAME)]
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
ActionName = Annotated[Name, AfterValidator(_known_action)]
HandlerName = Annotated[Name, AfterValidator(_known_handler)]

EventExpression = Annotated[str, Field(description="CEL over event"), _expression(EVENT)]
DecisionExpression = Annotated[str, Field(description="CEL over event, case, decision"), _expression(DECISION)]

EventTemplate = Annotated[JsonValue, Field(description="Templates over event"), _template(EVENT)]
EventText = Annotated[str, Field(description="Template over event"), _template(EVENT)]
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
