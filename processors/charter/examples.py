"""Few-shot examples: one JSON object a line, `{"event": {…data…}, "decision": {…}}`.

`checks.py` reads them to say what is wrong; `compiled.py` puts them into the stable part of the prompt.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
from pydantic import BaseModel, ConfigDict, ValidationError

from processors.charter.answers import parameters_schema
from processors.charter.model import Action


class ExampleDecision(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str
    confidence: float
    parameters: dict[str, Any]
    reasoning: str


class Example(BaseModel):
    """An event's data and the decision that was right for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: dict[str, Any]
    decision: ExampleDecision


class ExampleInvalid(ValueError):
    """A line that is no example; the message names the line."""


def parse_examples(text: str, actions: Mapping[str, Action]) -> tuple[Example, ...]:
    """The examples of a file's text. Raises ExampleInvalid for the first line that is none."""
    examples = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            example = Example.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ExampleInvalid(f"line {number}: {where}: {first['msg']}") from None
        action = actions.get(example.decision.action)
        if action is None:
            raise ExampleInvalid(f"line {number}: there is no action {example.decision.action!r}")
        for wrong in jsonschema_rs.iter_errors(parameters_schema(action), example.decision.parameters):
            raise ExampleInvalid(f"line {number}: parameters: {wrong.message}")
        examples.append(example)
    return tuple(examples)
