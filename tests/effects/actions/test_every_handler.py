"""The three tests that every way to act must pass: each step twice, a failure at each step, each undo twice.

A playbook of three steps runs over real handlers, and what counts is what the outside has seen.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import pytest

from effects.actions import registry
from effects.actions.http import HttpClient
from effects.actions.kafka import PublishFailed
from effects.actions.outbound import Connection
from effects.actions.perform import perform
from effects.actions.protocol import Call, Handler, Result
from effects.actions.registry import Ports
from processors import playbook
from processors.charter.compiled import CompiledCharter, compile_charter
from processors.charter.model import Charter
from processors.playbook import Ending, Progress, RunStep
from schemas import ids
from schemas.records import Case, Decision, Event
from tests.fakes.action_server import ANSWER, REFUSE, ActionServer

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
STEPS = 3

HTTP = {"type": "http", "connection": "server"}
# name -> a handler that acts and one that takes it back.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "http with keys": ({**HTTP, "path": "/do/{n}"}, {**HTTP, "path": "/undo/{n}"}),
    "http, natural": (
        {**HTTP, "path": "/do/{n}", "method": "PUT", "idempotent": "natural"},
        {**HTTP, "path": "/undo/{n}", "method": "DELETE", "idempotent": "natural"},
    ),
    "http, none": (
        {**HTTP, "path": "/do/{n}", "idempotent": "none"},
        {**HTTP, "path": "/undo/{n}", "idempotent": "none"},
    ),
    "http, none, asked": (
        {**HTTP, "path": "/do/{n}", "idempotent": "none", "reconcile": "/done/{idempotency_key}"},
        {**HTTP, "path": "/undo/{n}", "idempotent": "none", "reconcile": "/done/{idempotency_key}"},
    ),
    "kafka": ({"type": "kafka", "topic": "do"}, {"type": "kafka", "topic": "undo"}),
    "note": ({"type": "note"}, {"type": "note"}),
}
SEES_NOTHING = frozenset({"note"})  # nothing outside is touched
CANNOT_FAIL = SEES_NOTHING


@dataclass
class Topic:
    """A broker's end of the producer: what readers that drop repeated keys will see."""

    records: dict[bytes, tuple[str, Any]] = field(default_factory=dict)
    refuses_from: int = STEPS

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None:
        sent = orjson.loads(value)
        if topic == "do" and sent["n"] >= self.refuses_from:
            raise PublishFailed("not confirmed")
        self.records.setdefault(headers["idempotency-key"], (topic, sent["n"]))


@dataclass
class Outside:
    """Handlers of one way to act, and the effects they had, as (do or undo, number)."""

    way: str
    handlers: dict[str, Handler]
    server: ActionServer
    topic: Topic

    def seen(self) -> list[tuple[str, int]]:
        posted = [effect["path"].strip("/").split("/") for effect in self.server.tally.effects]
        return [(what, int(n)) for what, n in posted] + [*self.topic.records.values()]

    def fail_at(self, position: int) -> None:
        self.server.script.extend([*[ANSWER] * position, REFUSE])
        self.topic.refuses_from = position


@pytest.fixture(params=WAYS)
def outside(
    request: pytest.FixtureRequest, server: ActionServer, connection: Connection, client: HttpClient
) -> Outside:
    topic = Topic()
    ports = Ports(client, topic.publish, frozenset({"do", "undo"}))
    handlers = registry.build(charter(request.param).charter.handlers, {"server": connection}, ports)
    return Outside(request.param, handlers, server, topic)


def charter(way: str) -> CompiledCharter:
    act, undo = WAYS[way]
    step = {"do": "act", "undo": "take_back"}
    return compile_charter(
        Charter.model_validate(
            {
                "agent": "tester",
                "on": [{"type": "tried"}],
                "decide": {"provider": "rules"},
                "actions": {"try": {"kind": "respond"}},
                "fallback": [{"action": "try"}],
                "playbooks": {"try": [{**step, "with": {"n": n}} for n in range(STEPS)]},
                "handlers": {"act": act, "take_back": undo},
                "mode": "live",
            }
        )
    )


def decision() -> Decision:
    event = Event(id="1", source="tests", type="tried", subject="ticket-1", time=NOW)
    case = Case(case_id="case-1", agent="tester", charter_version="1", event=event, received_at=NOW)
    return Decision(
        decision_id=ids.decision_id("case-1", 0),
        case=case,
        action="try",
        kind="respond",
        confidence=1.0,
        parameters="{}",
        reasoning="",
        provider="rules",
        disposition="execute",
        decided_at=NOW,
    )


async def ask(outside: Outside, step: RunStep, *, begun: bool = False) -> Result:
    call = Call(step.step_id, "ticket-1", step.request)
    return await perform(outside.handlers[step.handler], call, begun=begun)


Performing = Callable[[RunStep], Awaitable[Result]]


async def run(outside: Outside, performing: Performing) -> Ending:
    """The playbook from its first step to its ending."""
    flow = playbook.run(decision(), charter(outside.way), Progress(), NOW)
    try:
        step = next(flow)
        while True:
            got = await performing(step)
            outcome = step.outcome(got.status, started_at=NOW, latency_ms=0, result=got.result, error=got.error)
            step = flow.send(outcome)
    except StopIteration as stop:
        ending: Ending = stop.value
        return ending


async def twice(outside: Outside, step: RunStep) -> Result:
    """The second time is that of a process that finds the call begun and knows no more."""
    first, second = await ask(outside, step), await ask(outside, step, begun=True)
    assert (first.status, second.status) in (("done", "done"), ("done", "unknown"))
    return first


def test_no_type_of_handler_is_left_out() -> None:
    tried = [
        handlers.charter.handlers[name] for way in WAYS for name in ("act", "take_back") for handlers in [charter(way)]
    ]
    assert {handler.type for handler in tried} == set(registry.BUILDERS)


async def test_each_step_twice(outside: Outside) -> None:
    ending = await run(outside, partial(twice, outside))
    assert [outcome.status for outcome in ending.outcomes] == ["done"] * STEPS
    assert outside.seen() == ([] if outside.way in SEES_NOTHING else [("do", n) for n in range(STEPS)])
    assert outside.server.tally.executed_twice == 0


@pytest.mark.parametrize("position", range(STEPS))
async def test_a_failure_at_each_step(outside: Outside, position: int) -> None:
    outside.fail_at(position)
    ending = await run(outside, partial(ask, outside))
    if outside.way in CANNOT_FAIL:
        assert ending.status == "completed"
        return
    assert [outcome.status for outcome in ending.outcomes] == ["done"] * position + ["failed"] + ["undone"] * position
    assert outside.seen() == [("do", n) for n in range(position)] + [("undo", n) for n in reversed(range(position))]


async def test_each_undo_twice(outside: Outside) -> None:
    async def last_fails(step: RunStep) -> Result:
        if step.position == STEPS - 1:
            return Result("failed", error="no")
        return await twice(outside, step) if step.undo else await ask(outside, step)

    ending = await run(outside, last_fails)
    back = list(reversed(range(STEPS - 1)))
    assert [outcome.position for outcome in ending.outcomes if outcome.status == "undone"] == back
    expected = [("do", n) for n in range(STEPS - 1)] + [("undo", n) for n in back]
    assert outside.seen() == ([] if outside.way in SEES_NOTHING else expected)
    assert outside.server.tally.executed_twice == 0
