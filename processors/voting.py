"""Counts several answers to one question.

`deciding.py` asks again until `count` shows that enough agree, or that they no longer can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from nightdesk.processors.charter.model import Votes
from nightdesk.processors.replies import AgentDecision


@dataclass(frozen=True, slots=True)
class Count:
    """`leader` is the first answer of the largest group, with the lowest confidence in that group."""

    leader: AgentDecision
    agreeing: int
    cast: int
    is_agreed: bool
    is_over: bool


def applies(votes: Votes | None, action: str) -> bool:
    """Whether a first answer with this action needs a vote."""
    return votes is not None and (not votes.only_for or action in votes.only_for)


def count(votes: Votes, ballots: Sequence[AgentDecision]) -> Count:
    """Count at least one ballot. In a tie the earlier group leads."""
    groups: dict[bytes, list[AgentDecision]] = {}
    for ballot in ballots:
        groups.setdefault(_same(votes, ballot), []).append(ballot)
    largest = max(groups.values(), key=len)
    is_agreed = len(largest) >= votes.agree
    still_to_come = votes.ask - len(ballots)
    return Count(
        leader=largest[0].model_copy(update={"confidence": min(each.confidence for each in largest)}),
        agreeing=len(largest),
        cast=len(ballots),
        is_agreed=is_agreed,
        is_over=is_agreed or len(largest) + still_to_come < votes.agree,
    )


def _same(votes: Votes, ballot: AgentDecision) -> bytes:
    compared: dict[str, Any] = {name: ballot.parameters.get(name) for name in votes.same}
    return orjson.dumps([ballot.action, compared], option=orjson.OPT_SORT_KEYS)
