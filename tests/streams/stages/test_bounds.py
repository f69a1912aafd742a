"""Each bound of a case, reached through the decide and act stages: the case stops, the audit says so, a person gets it.

The model asks for research for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable, WhyNot
from nightdesk.schemas.records import AuditRecord, BudgetEntry, Case, Decision
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.decide import Decide
from tests.processors.examples import answer, case, compiled, event, reply
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, said
from tests.streams.stages.world import World

STEPS_AT_MOST = 50
ESCALATES = (
    "playbooks:\n",
    "playbooks:\n  escalate:\n    - {do: tell, with: {reason: '{{ decision.parameters.reason }}'}}\n",
)
TELLS = ("handlers:\n", "handlers:\n  tell: {type: http, connection: desk, path: /escalations, read_only: true}\n")


class Endless:
    """Asks for research, with `malformed` wrong replies before each right one, and takes its time."""

    def __init__(self, clock: Clock, seconds: float, *, malformed: bool) -> None:
        self.asked = 0
        self._clock = clock
        self._seconds = seconds
        self._malformed = malformed

    async def ask(
        self, providers: Sequence[str], request: ModelRequest, agent: str, why_not: WhyNot
    ) -> ModelReply | ModelUnavailable:
        assert not await why_not()
        self.asked += 1
        self._clock.forward(self._seconds)
        return reply("no" if self._malformed and self.asked % 2 else answer("look"), cost_microusd=1)

    async def close(self) -> None:
        """Nothing is held."""


@dataclass
class Story:
    """The result of one case."""

    audit: list[AuditRecord]
    questions: int
    calls: list[str]
    steps: int


async def _story(charter: CompiledCharter, seconds: float = 0.0, *, malformed: bool = False) -> Story:
    clock, world, control = Clock(), World(once=()), in_force(charter)
    model = Endless(clock, seconds, malformed=malformed)
    decide, act = Bench(Decide(control, model, clock)), Bench(Act(control, world, clock))
    cases, story, steps = [case(charter, event(customer="c-1"))], list[AuditRecord](), 0
    while cases and steps < STEPS_AT_MOST:
        steps += 1
        decided = await decide.take(DECIDE, cases.pop(), steps)
        story += audited(decided)
        for decision in said(decided, ACT, Decision):
            acted = await act.take(ACT, decision, steps)
            story += audited(acted)
            cases += _goes_on(acted)
    return Story(story, model.asked, world.handlers, steps)


def _goes_on(acted: StagedWrites) -> list[Case]:
    """The next step, with money that the budget stage reserved."""
    reservation = [entry.case for entry in said(acted, BUDGET, BudgetEntry) if entry.kind == "reserve" and entry.case]
    return said(acted, DECIDE, Case) + [one.model_copy(update={"reserved_microusd": 500_000}) for one in reservation]


def _bounded(**bounds: int) -> CompiledCharter:
    told = {"actions": 100, "external_calls": 1000, "model_calls": 100, "seconds": 100_000} | bounds
    limits = "limits: {per_subject: 5/1h}"
    return compiled((limits, f"{limits}\nbounds: {told}"), ESCALATES, TELLS)


@pytest.mark.parametrize(
    ("bounds", "seconds", "malformed", "looks", "questions"),
    [
        ({"actions": 3}, 0.0, False, 3, 3),
        ({"external_calls": 4}, 0.0, False, 4, 4),
        ({"model_calls": 5}, 0.0, False, 5, 5),
        ({"model_calls": 5}, 0.0, True, 2, 5),
        ({"seconds": 100}, 30.0, False, 4, 4),
    ],
)
async def test_a_bound_that_is_reached_stops_the_case_and_hands_it_over(
    bounds: dict[str, int], seconds: float, malformed: bool, looks: int, questions: int
) -> None:
    story = await _story(_bounded(**bounds), seconds, malformed=malformed)
    [name] = bounds
    assert story.calls == ["history"] * looks + ["tell"]
    assert story.questions == questions
    end = story.audit[-1]
    assert (end.kind, end.status, end.action) == ("acted", "escalated", "escalate")
    because = [record.reason + record.detail for record in story.audit]
    assert any(name in text or name.replace("_", " ") in text for text in because), because


async def test_without_a_bound_it_would_go_on() -> None:
    assert (await _story(_bounded())).steps == STEPS_AT_MOST
