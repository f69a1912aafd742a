"""Three tests that every type of handler must pass: each step twice, a failure at each step, each undo twice.

A playbook of three steps runs with real handlers, and the outside counts the effects.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import pytest

from nightdesk.effects.handlers import registry
from nightdesk.effects.handlers.handler_spec import Ports
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import Connection
from nightdesk.effects.handlers.perform import perform
from nightdesk.effects.handlers.protocol import Handler, PublishFailed, StepCall
from nightdesk.processors import playbook
from nightdesk.processors.charter.compiled import CompiledCharter, compile_charter
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.playbook import Ending, Progress, RunStep, StepResult
from nightdesk.schemas import ids
from nightdesk.schemas.records import Case, Decision, Event
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
        {**HTTP, "path": "/do/{n}", "idempotent": "none", "did_not_happen": [REFUSE.status]},
        {**HTTP, "path": "/undo/{n}", "idempotent": "none"},
    ),
    "http, none, asked": (
        {
            **HTTP,
            "path": "/do/{n}",
            "idempotent": "none",
            "reconcile": "/done/{idempotency_key}",
            "did_not_happen": [REFUSE.status],
        },
        {**HTTP, "path": "/undo/{n}", "idempotent": "none", "reconcile": "/done/{idempotency_key}"},
    ),
    "kafka": ({"type": "kafka", "topic": "do"}, {"type": "kafka", "topic": "undo"}),
    "note": ({"type": "note"}, {"type": "note"}),
}
SEES_NOTHING = frozenset({"note"})  # nothing outside is touched
CANNOT_FAIL = SEES_NOTHING
UNCONFIRMED = frozenset({"kafka"})  # a failure says only that nobody knows


@dataclass
class Topic:
    """Stands for the broker behind the producer: has what readers see that drop repeated keys."""

    records: dict[bytes, tuple[str, Any]] = field(default_factory=dict)
    refuses_from: int = STEPS

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None:
        sent = orjson.loads(value)
        if topic == "do" and sent["n"] >= self.refuses_from:
            raise PublishFailed("not confirmed")
        self.records.setdefault(headers["idempotency-key"], (topic, sent["n"]))


@dataclass
class Outside:
    """Handlers of one type, and the effects they had, as (do or undo, number)."""

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
    ports = Ports(client, topic.publish, frozenset({"do", "undo"}), {"server": connection})
    handlers = registry.build(charter(request.param).charter.handlers, ports)
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


async def ask(outside: Outside, step: RunStep, *, begun: bool = False) -> StepResult:
    call = StepCall(step.step_id, "ticket-1", step.request)
    return await perform(outside.handlers[step.handler], call, begun=begun)


Performing = Callable[[RunStep], Awaitable[StepResult]]


async def run(outside: Outside, performing: Performing) -> Ending:
    """Run the playbook from its first step to its ending."""
    flow = playbook.run(decision(), charter(outside.way), Progress(), NOW)
    try:
        step = next(flow)
        while True:
            got = await performing(step)
            outcome = step.outcome(got, started_at=NOW, latency_ms=0)
            step = flow.send(outcome)
    except StopIteration as stop:
        ending: Ending = stop.value
        return ending


async def twice(outside: Outside, step: RunStep) -> StepResult:
    """The second run is that of a process that finds the call begun and knows no more."""
    first, second = await ask(outside, step), await ask(outside, step, begun=True)
    assert (first.status, second.status) in (("done", "done"), ("done", "unknown"))
    return first


def test_no_type_of_handler_is_left_out() -> None:
    tried = [
        handlers.charter.handlers[name] for way in WAYS for name in ("act", "take_back") for handlers in [charter(way)]
    ]
    left_out = set(registry.BY_TYPE) - {handler.type for handler in tried}
    assert left_out == set(), "add to WAYS a handler of the type that acts and one that takes it back"


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
    if outside.way in UNCONFIRMED:
        assert [outcome.status for outcome in ending.outcomes] == ["done"] * position + ["unknown"]
        assert outside.seen() == [("do", n) for n in range(position)]
        return
    assert [outcome.status for outcome in ending.outcomes] == ["done"] * position + ["failed"] + ["undone"] * position
    assert outside.seen() == [("do", n) for n in range(position)] + [("undo", n) for n in reversed(range(position))]


async def test_each_undo_twice(outside: Outside) -> None:
    async def last_fails(step: RunStep) -> StepResult:
        if step.position == STEPS - 1:
            return StepResult("failed", error="no")
        return await twice(outside, step) if step.undo else await ask(outside, step)

    ending = await run(outside, last_fails)
    back = list(reversed(range(STEPS - 1)))
    assert [outcome.position for outcome in ending.outcomes if outcome.status == "undone"] == back
    expected = [("do", n) for n in range(STEPS - 1)] + [("undo", n) for n in back]
    assert outside.seen() == ([] if outside.way in SEES_NOTHING else expected)
    assert outside.server.tally.executed_twice == 0
