"""Few-shot examples: one JSON object on each line, `{"event": {…data…}, "decision": {…}}`.

`checks.py` reads them to report errors; `compiled.py` puts them into the stable part of the prompt.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nightdesk.processors.charter.actions import Action
from nightdesk.processors.charter.answers import parameters_schema
from nightdesk.processors.charter.compiled_schema import compile_schema
from nightdesk.processors.json_text import DataInvalid, parse_exact


class ExampleDecision(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str
    confidence: float
    parameters: dict[str, Any]
    reasoning: str


class Example(BaseModel):
    """An event's data and the right decision for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: dict[str, Any]
    decision: ExampleDecision


class ExampleInvalid(ValueError):
    """A line is not a valid example; the message names the line."""


def parse_examples(text: str, actions: Mapping[str, Action]) -> tuple[Example, ...]:
    """The examples in a file's text. Raises `ExampleInvalid` for the first invalid line."""
    schemas = {name: compile_schema(parameters_schema(action)) for name, action in actions.items()}
    examples = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            example = Example.model_validate(parse_exact(line, "the example"))
        except DataInvalid as error:
            raise ExampleInvalid(f"line {number}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ExampleInvalid(f"line {number}: {where}: {first['msg']}") from None
        schema = schemas.get(example.decision.action)
        if schema is None:
            raise ExampleInvalid(f"line {number}: there is no action {example.decision.action!r}")
        for problem in schema.problems(example.decision.parameters, "parameters"):
            raise ExampleInvalid(f"line {number}: {problem}")
        examples.append(example)
    return tuple(examples)
