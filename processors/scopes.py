"""What expressions and templates can see: the event, the case, the decision and the results of earlier steps.

Routing, fallback rules, verification and the playbook build a scope once for each event or case and evaluate all
expressions and templates of a charter in it. Nothing else is visible: no clock, no environment, no other subject.
"""

from collections.abc import Callable, Mapping
from typing import Any

import cel
import orjson

from schemas.records import Case, Decision, Event

EVENT = frozenset({"event"})
DECISION = frozenset({"event", "case", "decision"})
STEP = DECISION | {"steps"}
UNDO = STEP | {"result"}
PROMPT = frozenset({"agent", "description", "actions"})
BODY = frozenset({"parameters"})


# What nests deeper cannot be written again by the JSON library, which gives up at 254 where it reads 1,024.
MAX_NESTING = 64


class DataInvalid(ValueError):
    """The `data` of an event, or the parameters of a decision, is not JSON, or nests without end."""


def _lower(text: str) -> str:
    return text.lower()


def _mentions(text: str, phrases: list[str]) -> bool:
    folded = text.casefold()
    return any(phrase.casefold() in folded for phrase in phrases)


# `matches` of CEL compiles its pattern anew at each call (70 to 200 microseconds); these two cost under 10.
FUNCTIONS: dict[str, Callable[..., Any]] = {"lower": _lower, "mentions": _mentions}


# What an expression reads: names, each with one of its members, or with `WHOLE`.
Reads = frozenset[tuple[str, str]]
WHOLE = ""


class Scope:
    """Names and their values: plain for templates, and for expressions as CEL contexts made when first used."""

    __slots__ = ("_contexts", "values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._contexts: dict[Reads, cel.Context] = {}

    def having(self, **more: Any) -> "Scope":
        """A new scope with further names; this one does not change."""
        return Scope({**self.values, **more})

    def context(self, reads: Reads) -> cel.Context:
        """What is read, for CEL. Converting it is the dear part of an evaluation (2 microseconds for a time, 1 for a
        text), so it happens once, and to nothing else.
        """
        context = self._contexts.get(reads)
        if context is None:
            context = self._contexts[reads] = cel.Context(variables=self._read(reads), functions=FUNCTIONS)
        return context

    def _read(self, reads: Reads) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, member in reads:
            if name not in self.values:
                continue
            value = self.values[name]
            if member == WHOLE or not isinstance(value, dict):
                found[name] = value
                continue
            members = found.setdefault(name, {})
            if member in value:
                members[member] = value[member]
        return found


def parse_json(text: str, what: str) -> Any:
    """The value of a JSON text; DataInvalid, naming `what`, when it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DataInvalid(f"{what} is not JSON: {error}") from None
    # Few texts have so many braces that the values need a look.
    if text.count("{") + text.count("[") > MAX_NESTING and _nests_deeper(value, MAX_NESTING):
        raise DataInvalid(f"{what} nests deeper than {MAX_NESTING}")
    return value


def _nests_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_nests_deeper(item, levels - 1) for item in value)


def event_scope(event: Event) -> Scope:
    """`event` with its `data` parsed. Raises DataInvalid when the data is not JSON."""
    return Scope(
        {
            "event": {
                "id": event.id,
                "source": event.source,
                "type": event.type,
                "subject": event.subject,
                "time": event.time,
                "data": parse_json(event.data, "event.data"),
            }
        }
    )


def _past_steps(case: Case) -> list[dict[str, Any]]:
    return [
        {
            "step": past.step,
            "action": past.action,
            "kind": past.kind,
            "parameters": parse_json(past.parameters, "case.history.parameters"),
            "outcomes": [
                {
                    "handler": outcome.handler,
                    "status": outcome.status,
                    "result": parse_json(outcome.result, "case.history.result"),
                }
                for outcome in past.outcomes
            ],
        }
        for past in case.history
    ]


def case_scope(case: Case) -> Scope:
    """`event` and `case`. Raises DataInvalid when JSON inside the case is none."""
    return event_scope(case.event).having(
        case={
            "id": case.case_id,
            "agent": case.agent,
            "step": case.step,
            "received_at": case.received_at,
            "spent": dict(case.spent.__dict__),
            "history": _past_steps(case),
        }
    )


def decision_values(action: str, kind: str, confidence: float, parameters: Mapping[str, Any], reasoning: str) -> Any:
    """`decision` as rules and playbooks see it."""
    return {
        "action": action,
        "kind": kind,
        "confidence": confidence,
        "parameters": dict(parameters),
        "reasoning": reasoning,
    }


def decision_scope(decision: Decision) -> Scope:
    """`event`, `case` and `decision` of a recorded decision: what a playbook's templates see, apart from `steps`."""
    parameters = parse_json(decision.parameters, "decision.parameters")
    values = decision_values(decision.action, decision.kind, decision.confidence, parameters, decision.reasoning)
    values["id"] = decision.decision_id
    return case_scope(decision.case).having(decision=values)
