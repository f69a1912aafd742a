"""Evaluates the gates for a recorded decision: why they stopped it, and what they would say to another answer.

The case is read from the audit, as it was when the decision was made. Nothing is sent, stored or called.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.agents import Agent, read_agent
from nightdesk.operations.approvals import edited_parameters
from nightdesk.operations.cases import trace
from nightdesk.operations.installation import Installation
from nightdesk.processors.charter import CharterInvalid, CompiledCharter, compiled_from_json
from nightdesk.processors.replies import AgentDecision
from nightdesk.processors.what_if import WhatIf, what_if
from nightdesk.schemas.records import Case, Event, PastStep, Spent
from nightdesk.sinks.story import CaseStory, DecisionStory, EventStory

Version = Literal["then", "now"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Another answer: JSON text of its parameters, and the charter by which it is judged. An empty field stays as it
    was decided.
    """

    action: str = ""
    parameters: str = ""
    confidence: float | None = None
    version: Version = "then"


@dataclass(frozen=True, slots=True)
class Considered:
    """The decision as it was made, and what the gates say to the answer that is asked about. `template` has the
    parameters that the action takes, filled from the event where a name is the same.
    """

    case: CaseStory
    decision: DecisionStory
    charter_version: str
    answer: AgentDecision
    result: WhatIf
    actions: Sequence[str]
    template: dict[str, Any]


def consider(
    installation: Installation, decision_id: str, proposal: Proposal, sees: Callable[[str | None], bool]
) -> Considered:
    """What the gates say. Raises `Failure` if the decision, its event or its charter is not known, or if the proposed
    answer is not valid. A decision of an agent that the person does not see is not known either.
    """
    story = trace(installation, decision_id)
    case, decision = _found((case for case in story.cases if sees(case.agent)), decision_id)
    event = next((one for one in story.events if case.case_id in one.case_ids), None)
    agent = read_agent(installation, case.agent or "")
    version = agent.promoted if proposal.version == "now" else case.charter_version or ""
    compiled = _compiled(agent, version)
    rebuilt = as_case(case, decision, event, version)
    action = proposal.action or decision.action or ""
    template = _template(compiled, action, rebuilt.event)
    usual = decision.parameters if action == decision.action else json.dumps(template)
    answer = _answer(decision, action, proposal.parameters or usual, proposal.confidence)
    recorded = decision.verdicts if action == decision.action else ()
    result = what_if(compiled, rebuilt, answer, recorded)
    return Considered(case, decision, version, answer, result, sorted(compiled.actions), template)


def as_case(case: CaseStory, decision: DecisionStory, event: EventStory | None, version: str) -> Case:
    """The case at the step of the decision, from its audit. Raises `Failure` if its event is not there."""
    if event is None or event.time is None:
        raise Failure(f"the event of case {case.case_id} is not in the audit", "", FailureKind.NOT_FOUND)
    earlier = [one for one in case.decisions if one.step < decision.step]
    done = [one for one in case.outcomes if one.step < decision.step]
    spent = Spent(
        actions=len({one.step for one in earlier}),
        external_calls=sum(one.attempts for one in done),
        model_calls=max((one.model_calls for one in earlier), default=0),
        cost_microusd=sum(one.cost_microusd for one in earlier),
        worked_ms=sum(one.latency_ms for one in earlier) + sum(one.latency_ms for one in done),
    )
    return Case(
        case_id=case.case_id,
        agent=case.agent or "",
        charter_version=version,
        event=Event(
            id=event.event_id,
            source=event.event_source,
            type=event.event_type,
            subject=case.subject,
            time=event.time,
            data=json.dumps(event.data),
        ),
        step=decision.step,
        received_at=case.received_at,
        spent=spent,
        history=tuple(_past(case, one) for one in earlier),
    )


def _past(case: CaseStory, decision: DecisionStory) -> PastStep:
    return PastStep(
        step=decision.step,
        action=decision.action or "",
        kind=decision.kind,
        parameters=decision.parameters,
        reasoning=decision.reasoning,
        outcomes=tuple(one for one in case.outcomes if one.decision_id == decision.decision_id),
    )


def _found(cases: Iterable[CaseStory], decision_id: str) -> tuple[CaseStory, DecisionStory]:
    for case in cases:
        for decision in case.decisions:
            if decision.decision_id == decision_id:
                return case, decision
    raise Failure(f"no decision is known under {decision_id}", "", FailureKind.NOT_FOUND)


def _compiled(agent: Agent, version: str) -> CompiledCharter:
    content = next((one.content for one in agent.versions if one.version == version), None)
    if content is None:
        raise Failure(
            f"the charter {version} of {agent.name} is not known any more",
            "Ask with the charter that is in force now",
            FailureKind.NOT_FOUND,
        )
    try:
        return compiled_from_json(content)
    except CharterInvalid as error:
        raise Failure(f"this version cannot read the charter {version}: {error}", "", FailureKind.INVALID) from None


def _answer(decision: DecisionStory, action: str, parameters: str, confidence: float | None) -> AgentDecision:
    try:
        return AgentDecision(
            action=action,
            confidence=_first(confidence, decision.confidence, 0.0),
            parameters=json.loads(edited_parameters(parameters)),
            reasoning=decision.reasoning,
        )
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise Failure(f"{first['loc'][0]}: {first['msg']}", "", FailureKind.INVALID) from None


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _template(compiled: CompiledCharter, action: str, event: Event) -> dict[str, Any]:
    policy = compiled.charter.actions.get(action)
    taken = None if policy is None or policy.parameters is None else policy.parameters.get("properties")
    data = json.loads(event.data)
    known = data if isinstance(data, dict) else {}
    return {name: known.get(name) for name in taken} if isinstance(taken, dict) else {}
