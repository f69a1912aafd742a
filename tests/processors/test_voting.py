"""Counting votes, as properties over every sequence of ballots."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.charter.model import Votes
from nightdesk.processors.replies import AgentDecision
from nightdesk.processors.voting import applies, count


def ballot(action: str, confidence: float = 0.9, amount: float = 1) -> AgentDecision:
    return AgentDecision(action=action, confidence=confidence, parameters={"amount": amount}, reasoning="r")


def test_votes_are_for_the_actions_that_the_charter_names() -> None:
    assert not applies(None, "refund")
    assert applies(Votes(ask=3, agree=2), "anything")
    assert applies(Votes(ask=3, agree=2, only_for=("refund",)), "refund")
    assert not applies(Votes(ask=3, agree=2, only_for=("refund",)), "respond")


def test_named_parameters_have_to_be_the_same() -> None:
    loose, strict = Votes(ask=3, agree=2), Votes(ask=3, agree=2, same=("amount",))
    ballots = [ballot("refund", amount=1), ballot("refund", amount=2)]
    assert count(loose, ballots).is_agreed
    assert not count(strict, ballots).is_over
    assert count(strict, [*ballots, ballot("refund", amount=2)]).leader.parameters == {"amount": 2}


def test_the_lowest_confidence_of_those_who_agree_counts() -> None:
    standing = count(Votes(ask=2, agree=2), [ballot("a", 0.9), ballot("a", 0.6)])
    assert (standing.leader.confidence, standing.agreeing, standing.cast) == (0.6, 2, 2)


@st.composite
def elections(draw: st.DrawFn) -> tuple[Votes, list[AgentDecision]]:
    ask = draw(st.integers(2, 9))
    votes = Votes(ask=ask, agree=draw(st.integers(2, ask)))
    return votes, draw(st.lists(st.sampled_from("abc").map(ballot), min_size=1, max_size=ask))


@given(elections())
def test_the_count_is_right_and_stops_neither_early_nor_late(election: tuple[Votes, list[AgentDecision]]) -> None:
    votes, ballots = election
    standing = count(votes, ballots)
    totals = Counter(each.action for each in ballots)
    assert standing.agreeing == max(totals.values())
    assert totals[standing.leader.action] == standing.agreeing
    assert standing.is_agreed == (standing.agreeing >= votes.agree)
    can_still_agree = max(totals.values()) + votes.ask - len(ballots) >= votes.agree
    assert standing.is_over == (standing.is_agreed or not can_still_agree)
    if len(ballots) == votes.ask:
        assert standing.is_over
