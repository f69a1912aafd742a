"""Counting several answers to one question.

`deciding.py` asks again until `count` says that enough agree or that they no longer can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from processors.charter.model import Votes
from processors.replies import AgentDecision


@dataclass(frozen=True, slots=True)
class Count:
    """`leader` is the first answer of the largest group, with the lowest confidence in that group."""

    leader: AgentDecision
    agreeing: int
    cast: int
    is_agreed: bool
    is_over: bool


def applies(votes: Votes | None, action: str) -> bool:
    """Whether a first answer with this action has to be voted on."""
    return votes is not None and (not votes.only_for or action in votes.only_for)


def count(votes: Votes, ballots: Sequence[AgentDecision]) -> Count:
    """The standing after `ballots`, of which there is at least one. Ties go to the group that came first."""
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
