"""Counts, by agent, the decisions that orders to stop hold in the act stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel

from nightdesk.messaging.topic_reader import read_table
from nightdesk.operations.installation import Installation
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.halted import Halted


class _Waiting(BaseModel):
    """The fields of an entry of the stage's table that are counted."""

    agent: str
    escalates: bool
    since: float


@dataclass(frozen=True, slots=True)
class HaltedDecisions:
    """The decisions of one agent that wait for an order to be lifted. `escalations` of them bring a case to a person;
    `since` is when the oldest began to wait.
    """

    agent: str
    decisions: int
    escalations: int
    since: datetime


def halted_decisions(installation: Installation) -> list[HaltedDecisions]:
    """Every agent with waiting decisions, by name. Raises `Failure`."""
    values = read_table(installation.kafka, Act.name, Halted.table_name).values()
    by_agent: dict[str, list[_Waiting]] = {}
    for entry in map(_Waiting.model_validate_json, values):
        by_agent.setdefault(entry.agent, []).append(entry)
    return [_counted(agent, by_agent[agent]) for agent in sorted(by_agent)]


def held_back_text(found: Iterable[HaltedDecisions]) -> str:
    """Text for people: the total number of waiting decisions."""
    rows = list(found)
    decisions, escalations = sum(row.decisions for row in rows), sum(row.escalations for row in rows)
    if not decisions:
        return "no decision waits for the end of an order"
    since = min(row.since for row in rows)
    return (
        f"{decisions} decisions wait for the end of an order, the oldest since {since:%Y-%m-%d %H:%M:%S} UTC;"
        f" {escalations} of them would bring a case to a person"
    )


def _counted(agent: str, entries: Sequence[_Waiting]) -> HaltedDecisions:
    return HaltedDecisions(
        agent=agent,
        decisions=len(entries),
        escalations=sum(entry.escalates for entry in entries),
        since=datetime.fromtimestamp(min(entry.since for entry in entries), UTC),
    )
