"""A small charter and its records, for the tests of the pure core."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson

from nightdesk.processors.charter import CompiledCharter, compile_charter, parse_charter
from nightdesk.processors.model import ModelReply, ModelUsage
from nightdesk.processors.routing import open_case
from nightdesk.schemas.records import Case, Event

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

PROMPT = "You are {{ agent }}. Choose one of {{ actions | join(', ') }}."
EXAMPLE_LINE = (
    '{"event": {"text": "where?"}, "decision": {"reasoning": "r", "action": "respond",'
    ' "parameters": {"text": "there"}, "confidence": 0.9}}'
)

CHARTER = """\
agent: desk
description: Answers tickets.
on:
  - type: ticket.created
    when: event.data.status == "open"
schema: ticket.schema.json
decide:
  provider: [anthropic, rules]
  model: claude-sonnet-5-5
  prompt: prompt.md
  examples: examples.jsonl
  votes: {ask: 3, agree: 2, only_for: [refund], same: [amount]}
actions:
  respond:
    kind: respond
    confidence: 0.75
    parameters: {type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}
  refund:
    kind: respond
    confidence: 0.9
    approval: always
    writes: true
    parameters: {type: object, properties: {amount: {type: number, minimum: 0}}, required: [amount],
                 additionalProperties: false}
  escalate:
    kind: escalate
    parameters: {type: object, properties: {reason: {type: string}}, required: [reason], additionalProperties: false}
  look:
    kind: research
    approval: never
  wait:
    kind: wait
    at_most: 24h
rules:
  - name: refund-cap
    for: [refund]
    require: decision.parameters.amount <= 100.0
    message: no refund over 100
playbooks:
  respond:
    - {do: send, with: {text: "{{ decision.parameters.text }}"}, undo: unsend, as: reply}
    - {do: note, with: {reply: "{{ steps.reply.id }}"}}
  refund:
    - {do: pay, with: {amount: "{{ decision.parameters.amount }}"}, irreversible: true}
  look:
    - {do: history, with: {customer: "{{ event.data.customer }}"}}
handlers:
  send: {type: http, connection: desk, path: /replies}
  unsend: {type: http, connection: desk, method: DELETE, path: /replies}
  pay: {type: http, connection: desk, path: /refunds}
  history: {type: http, connection: desk, method: GET, path: "/customers/{customer}", read_only: true}
  note: {type: note}
limits: {per_subject: 5/1h}
budget: {per_day_usd: 25, per_case_usd: 0.50}
mode: live
fallback:
  - when: event.data.text.mentions(["refund"]) && has(event.data.amount)
    action: refund
    parameters: {amount: "{{ event.data.amount }}"}
  - when: event.data.text.contains("where")
    action: respond
    confidence: 0.8
    parameters: {text: "About {{ event.data.text }}: tomorrow."}
    reasoning: "asks for {{ event.subject }}"
"""

SCHEMA = orjson.dumps(
    {
        "type": "object",
        "properties": {"status": {"type": "string"}, "text": {"type": "string"}, "amount": {"type": "number"}},
        "required": ["status", "text"],
    }
).decode()

FILES = {"prompt.md": PROMPT, "examples.jsonl": EXAMPLE_LINE, "ticket.schema.json": SCHEMA}


def changed(*changes: tuple[str, str]) -> str:
    """The charter's text with each first text replaced by the second; the first has to be there."""
    text = CHARTER
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


@cache
def compiled(*changes: tuple[str, str]) -> CompiledCharter:
    return compile_charter(parse_charter(changed(*changes), FILES))


def event(text: str = "where is it?", **data: Any) -> Event:
    content = {"status": "open", "text": text, **data}
    return Event(
        id="e-1", source="shop", type="ticket.created", subject="t-1", time=NOW, data=orjson.dumps(content).decode()
    )


def case(charter: CompiledCharter, event_: Event | None = None, **changes: Any) -> Case:
    """A case for which the budget stage reserved everything that the charter allows one."""
    held = {"reserved_microusd": charter.charter.budget.per_case_microusd}
    return open_case(charter, event_ or event(), NOW).model_copy(update=held | changes)


def answer(action: str, confidence: float = 0.95, reasoning: str = "because", **parameters: Any) -> str:
    content = {"reasoning": reasoning, "action": action, "parameters": parameters, "confidence": confidence}
    return orjson.dumps(content).decode()


def reply(text: str, cost_microusd: int = 1000, latency_ms: int = 500) -> ModelReply:
    return ModelReply(
        provider="anthropic",
        model="claude-sonnet-5-5",
        text=text,
        stop_reason="end_turn",
        usage=ModelUsage(input_tokens=10, output_tokens=5, cache_read_tokens=100),
        cost_microusd=cost_microusd,
        latency_ms=latency_ms,
    )
