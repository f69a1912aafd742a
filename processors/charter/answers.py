"""What an answer may look like: the JSON Schemas of an action's parameters and of a whole decision.

`compiled.py`, `system.py`, `examples.py` and `checks.py` read them.
"""

from typing import Any

from processors.charter.model import Action, Charter
from processors.charter.quantities import DURATION_PATTERN


def parameters_schema(action: Action) -> dict[str, Any]:
    """The JSON Schema of the action's parameters. Without one there are none; a wait always says how long."""
    if action.parameters is not None:
        return dict(action.parameters)
    if action.kind != "wait":
        return {"type": "object", "properties": {}, "additionalProperties": False}
    after = {"type": "string", "pattern": DURATION_PATTERN, "description": "How long to wait, as in 4h"}
    return {"type": "object", "properties": {"after": after}, "required": ["after"], "additionalProperties": False}


def answer_schema(charter: Charter) -> dict[str, Any]:
    """The JSON Schema of the answer. Which parameters go with which action is checked when the answer is read."""
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
