"""The JSON Schemas of an action's parameters and of a model's whole answer."""

from typing import Any

from nightdesk.processors.charter.actions import Action
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.quantities import DURATION_PATTERN


def parameters_schema(action: Action) -> dict[str, Any]:
    """The JSON Schema of the action's parameters. Without one there are none; a `wait` always has `after`."""
    if action.parameters is not None:
        return dict(action.parameters)
    if action.kind != "wait":
        return {"type": "object", "properties": {}, "additionalProperties": False}
    after = {"type": "string", "pattern": DURATION_PATTERN, "description": "How long to wait, as in 4h"}
    return {"type": "object", "properties": {"after": after}, "required": ["after"], "additionalProperties": False}


def answer_schema(charter: Charter) -> dict[str, Any]:
    """The JSON Schema of the answer. `replies.py` checks which parameters belong to which action."""
    variants: list[dict[str, Any]] = []
    for action in charter.actions.values():
        schema = parameters_schema(action)
        if schema not in variants:
            variants.append(schema)
    return {
        "type": "object",
        "properties": {
            "reasoning": {"type": "string", "description": "Two or three sentences on why"},
            "action": {"type": "string", "enum": list(charter.actions)},
            "parameters": variants[0] if len(variants) == 1 else {"anyOf": variants},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["reasoning", "action", "parameters", "confidence"],
        "additionalProperties": False,
    }
