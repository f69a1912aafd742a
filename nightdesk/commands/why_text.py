"""A story as people read it. Called by `nightdesk why` and, for one case, at the end of `nightdesk up`.

Pure: a story in, text out. What customers and models wrote is shown without control characters, so that a ticket cannot
repaint the terminal of whoever looks into it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sinks.story import CaseStory, DecisionStory, EventStory, Halt, Line, OutcomeStory, Story

LONGEST_TEXT = 2000


def tell(story: Story) -> str:
    """The story, in order."""
    return "\n".join(_lines(story))


def halted(halt: Halt) -> str:
    """Who acts on nothing, since when, and by whose order."""
    who = "every agent" if halt.agent == "*" else clean(halt.agent)
    ordered = f"{halt.order} by {clean(halt.issued_by)}{_because(halt.reason)}"
    return f"{who} acts on nothing since {_time(halt.since)}: {ordered}"


def money(microusd: int) -> str:
    """Millionths of a US dollar as dollars."""
    dollars, millionths = divmod(abs(microusd), 1_000_000)
    sign = "-" if microusd < 0 else ""
    return f"{sign}${dollars}.{f'{millionths:06}'.rstrip('0').ljust(2, '0')}"


def _lines(story: Story) -> Iterator[str]:
    yield clean(story.subject)
    told = set()
    for event in story.events:
        yield from _event(event)
        for case in story.cases:
            if case.case_id in event.case_ids:
                told.add(case.case_id)
                yield from _case(case)
    for case in story.cases:
        if case.case_id not in told:
            yield from _case(case)
    for halt in story.halts if story.cases else ():
        yield ""
        yield halted(halt)
    if story.other_subjects:
        yield ""
        yield f"also found under: {clean(', '.join(story.other_subjects))}"


def _event(event: EventStory) -> Iterator[str]:
    yield ""
    name = (
        f"{event.event_type} {event.event_id} from {event.event_source}" if event.event_id else "that could not be read"
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
            pass  # the event says it
        case "decided":
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
        yield f"    not by    {fallback.get('provider')}: {clean(str(fallback.get('reason')))}"
    if decision.reasoning:
        yield f"    because   {clean(decision.reasoning)}"
    if decision.parameters:
        yield f"    with      {_data(decision.parameters)}"
    for verdict in decision.verdicts:
        yield f"    rule      {verdict.rule}: {'passed' if verdict.passed else 'failed'}{_because(verdict.reason)}"
    yield f"    so        {decision.disposition}{_because(decision.disposition_reason)}"


def _outcome(outcome: OutcomeStory) -> str:
    attempts = f" after {outcome.attempts} attempts" if outcome.attempts > 1 else ""
    if outcome.from_cache:
        attempts = ", from cache"
    said = outcome.error if outcome.error else "" if outcome.result is None else _data(outcome.result)
    return (
        f"    step {outcome.position}    {outcome.handler} {outcome.status}{attempts}, {outcome.latency_ms} ms"
        + _because(said)
    )


def _because(reason: str) -> str:
    return f" ({clean(reason)})" if reason else ""


def _data(value: Any) -> str:
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def clean(text: str) -> str:
    """Text that others wrote, fit for a terminal."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[:LONGEST_TEXT]}… ({len(shown)} characters)"


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
