"""Formats the answer of `nightdesk why` for people. Pure: a story in, lines out. `nightdesk.output` prints them, and
escapes what customers and models hid in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from nightdesk.operations.waiting_steps import at_most_until
from nightdesk.schemas.foreign_text import visible
from nightdesk.schemas.money import money
from nightdesk.schemas.persons import shown_person
from nightdesk.sinks.model_calls import ModelCall
from nightdesk.sinks.story import CaseStory, DecisionStory, EventStory, Halt, Line, OutcomeStory, Story, parsed

LONGEST_TEXT = 2000


def halted(halt: Halt) -> str:
    """The stopped agents, since when, and by whose order."""
    who = "every agent" if halt.agent == "*" else clean(halt.agent)
    but_for = "" if halt.order == "stop_all" and halt.agent == "*" else " but escalations"
    ordered = f"{halt.order} by {clean(shown_person(halt.issued_by, login=halt.login))}{_because(halt.reason)}"
    return f"{who} acts on nothing{but_for} since {_time(halt.since)}: {ordered}"


def render(story: Story) -> Iterator[str]:
    """The story, in order, line by line."""
    yield clean(story.subject)
    shown = set()
    for event in story.events:
        yield from _event(event)
        for case in story.cases:
            if case.case_id in event.case_ids:
                shown.add(case.case_id)
                yield from _case(case)
    for case in story.cases:
        if case.case_id not in shown:
            yield from _case(case)
    yield from _waits(story)
    for halt in story.halts if story.cases else ():
        yield ""
        yield halted(halt)
    if story.other_subjects:
        yield ""
        yield f"also found under: {clean(', '.join(story.other_subjects))}"


def asked(calls: Iterable[ModelCall]) -> Iterator[str]:
    """The questions to models with their replies, each line of a text as one line."""
    none = True
    for call in calls:
        none = False
        by = f"{call.provider} {call.model}" if call.answered else "nobody answered"
        yield ""
        yield f"question {call.attempt} of step {call.step}, case {call.case_id}: {clean(by)}, {_time(call.asked_at)}"
        for title, text in (("asked", call.prompt), ("answered", call.reply)):
            yield f"  {title}" if text else f"  {title}: the text is not kept any more" if call.answered else ""
            yield from (f"  | {visible(line)}" for line in text.splitlines())
    if none:
        yield ""
        yield "no model was asked"


def _waits(story: Story) -> Iterator[str]:
    if story.waits is None:
        yield ""
        yield "what waits now cannot be read: see `nightdesk doctor`"
    for wait in story.waits or ():
        step = f" (step {wait.step})" if wait.step else ""
        yield ""
        yield (
            f"case {wait.case_id}{step} of {clean(wait.agent)} waits now for {wait.waits_for}{_because(wait.reason)},"
            f" since {_time(wait.since)}, {at_most_until(wait.gate, wait.until)}"
        )


def _event(event: EventStory) -> Iterator[str]:
    yield ""
    name = (
        f"{event.event_type} {event.event_id} from {event.event_source}"
        if event.event_id
        else "that could not be decoded"
    )
    yield f"event {clean(name)}, {_time(event.time or event.received_at)}"
    if event.data is not None:
        yield f"  data        {_data(event.data)}"
    if not event.case_ids:
        yield f"  {event.status:<11} {clean(event.reason)}"


def _case(case: CaseStory) -> Iterator[str]:
    yield ""
    yield f"case {case.case_id} by {case.agent}: {case.status}" + _because(case.reason)
    yield f"  charter     {case.charter_version}"
    if case.reserved_microusd:
        yield f"  reserved    {money(case.reserved_microusd)}"
    for line in case.timeline:
        yield from _line(line, case)
    yield f"  cost        {money(case.cost_microusd)}, {case.input_tokens} tokens in, {case.output_tokens} out"


def _line(line: Line, case: CaseStory) -> Iterator[str]:
    match line.kind:
        case "received":
            pass  # the event has it
        case "decided" if any(one.decision_id == line.decision_id for one in case.decisions):
            for decision in case.decisions:
                if decision.decision_id == line.decision_id:
                    yield from _decision(decision)
        case "acted":
            yield f"  acted       {line.status}{_because(line.reason)}, {_time(line.time)}"
            if not any(other.decision_id == line.decision_id for other in _acted_after(line, case)):
                yield from (_outcome(outcome) for outcome in case.outcomes if outcome.decision_id == line.decision_id)
        case kind:
            yield f"  {kind.replace('_', ' '):<11} {line.status}{_because(line.reason)}, {_time(line.time)}"


def _acted_after(line: Line, case: CaseStory) -> list[Line]:
    return [other for other in case.timeline if other.kind == "acted" and other.time > line.time]


def _decision(decision: DecisionStory) -> Iterator[str]:
    confidence = "" if decision.confidence is None else f", confidence {decision.confidence:.2f}"
    step = f" (step {decision.step})" if decision.step else ""
    yield f"  decided     {decision.action}{confidence}{step}, {_time(decision.decided_at)}"
    model = f"{decision.provider} {decision.model}" if decision.model else str(decision.provider)
    prompt = f", prompt {decision.prompt_sha256[:12]}" if decision.prompt_sha256 else ""
    yield f"    by        {model}{prompt}, {decision.latency_ms} ms, {money(decision.cost_microusd)}"
    for fallback in decision.fallbacks:
        yield f"    not by    {clean(fallback.provider)}: {clean(fallback.reason)}"
    if decision.reasoning:
        yield f"    because   {clean(decision.reasoning)}"
    if parameters := parsed(decision.parameters):
        yield f"    with      {_data(parameters)}"
    for verdict in decision.verdicts:
        yield f"    rule      {verdict.rule}: {'passed' if verdict.passed else 'failed'}{_because(verdict.reason)}"
    yield f"    so        {decision.disposition}{_because(decision.disposition_reason)}"


def _outcome(outcome: OutcomeStory) -> str:
    attempts = f" after {outcome.attempts} attempts" if outcome.attempts > 1 else ""
    if outcome.from_cache:
        attempts = ", from cache"
    result = parsed(outcome.result)
    detail = outcome.error if outcome.error else "" if result is None else _data(result)
    return (
        f"    step {outcome.position}    {outcome.handler} {outcome.status}{attempts}, {outcome.latency_ms} ms"
        + _because(detail)
    )


def _because(reason: str) -> str:
    return f" ({clean(reason)})" if reason else ""


def _data(value: Any) -> str:
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def clean(text: str) -> str:
    """Foreign text, on one line and of readable length."""
    shown = visible(text[:LONGEST_TEXT])
    return shown if len(text) <= LONGEST_TEXT else f"{shown}… ({len(text)} characters)"


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
