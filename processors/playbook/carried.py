"""What a follow-up carries from the case that set it: event, decision and outcomes, within bounds. Pure.

The event of a `remind` step carries it as `event.data.case`, so that triggers, rules, prompts and people see what the
follow-up follows up on.
"""

from typing import Any

import orjson

from nightdesk.processors.json_text import DataInvalid, parse_exact
from nightdesk.processors.playbook.playbook_run import PlaybookRun
from nightdesk.schemas.records import StepOutcome

CARRIED_BYTES_AT_MOST = 64_000
# Texts are shortened to the first of these with which the case fits.
TEXT_CHARACTERS = (2000, 200, 20)
ELEMENTS_AT_MOST = 100
# The data of an event may nest 64 deep.
DEPTH_AT_MOST = 50


def carried_case(state: PlaybookRun) -> dict[str, Any]:
    """The case as JSON values; `truncated` is true if something was shortened or left out."""
    case = _case(state)
    for characters in TEXT_CHARACTERS:
        shortened: dict[str, Any] = _shortened(case, characters)
        shortened["truncated"] = shortened != case
        if len(orjson.dumps(shortened)) <= CARRIED_BYTES_AT_MOST:
            return shortened
    return {"id": state.decision.case.case_id, "decision": {"action": state.decision.action}, "truncated": True}


def _case(state: PlaybookRun) -> dict[str, Any]:
    decision, case, event = state.decision, state.decision.case, state.decision.case.event
    data = _value(event.data)
    if event.source == f"nightdesk/{case.agent}" and isinstance(data, dict):
        data = {name: value for name, value in data.items() if name != "case"}  # a chain of them would grow
    return {
        "id": case.case_id,
        "event": {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "time": event.time.isoformat(),
            "data": data,
        },
        "decision": {
            "id": decision.decision_id,
            "action": decision.action,
            "kind": decision.kind,
            "confidence": decision.confidence,
            "parameters": _value(decision.parameters),
            "reasoning": decision.reasoning,
            "provider": decision.provider,
            "decided_at": decision.decided_at.isoformat(),
        },
        "outcomes": [_outcome(outcome) for outcome in state.outcomes],
    }


def _outcome(outcome: StepOutcome) -> dict[str, Any]:
    return {"handler": outcome.handler, "status": outcome.status, "result": _value(outcome.result)}


def _value(text: str) -> Any:
    """The value of a JSON text; the text itself where reading it would change it."""
    try:
        return parse_exact(text, "it")
    except DataInvalid:
        return text


def _shortened(value: Any, characters: int, depth: int = 0) -> Any:
    if isinstance(value, str):
        return value if len(value) <= characters else value[:characters] + "…"
    if isinstance(value, dict | list) and depth == DEPTH_AT_MOST:
        return "…"
    if isinstance(value, dict):
        items = list(value.items())[:ELEMENTS_AT_MOST]
        return {name[:characters]: _shortened(item, characters, depth + 1) for name, item in items}
    if isinstance(value, list):
        return [_shortened(item, characters, depth + 1) for item in value[:ELEMENTS_AT_MOST]]
    return value
