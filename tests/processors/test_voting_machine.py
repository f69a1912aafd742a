"""An election, ballot by ballot: it ends exactly when no further ballot could change its result."""

from collections import Counter
from itertools import product

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nightdesk.processors.charter.model import Votes
from nightdesk.processors.replies import AgentDecision
from nightdesk.processors.voting import Count, count
from tests.processors.test_voting import ballot

AMOUNTS = (1.0, 2.0)
# Two actions, two amounts each: what may be on a ballot.
POSSIBLE = [ballot(action, amount=amount) for action, amount in product("ab", AMOUNTS)]


class Election(RuleBasedStateMachine):
    """Ballots are cast until it ends, as `deciding.py` does; the model counts by hand."""

    @initialize(ask=st.integers(2, 5), data=st.data(), same=st.sampled_from([(), ("amount",)]))
    def begins(self, ask: int, data: st.DataObject, same: tuple[str, ...]) -> None:
        self.votes = Votes(ask=ask, agree=data.draw(st.integers(2, ask)), same=same)
        self.ballots: list[AgentDecision] = []
        self.standings: list[Count] = []

    def _votes_for(self, ballots: list[AgentDecision]) -> Counter[tuple[object, ...]]:
        return Counter((each.action, *(each.parameters[name] for name in self.votes.same)) for each in ballots)

    @property
    def is_over(self) -> bool:
        return bool(self.standings) and self.standings[-1].is_over

    @precondition(lambda self: not self.is_over)
    @rule(cast=st.sampled_from(POSSIBLE), confidence=st.floats(0, 1))
    def casts(self, cast: AgentDecision, confidence: float) -> None:
        self.ballots.append(cast.model_copy(update={"confidence": confidence}))
        self.standings.append(count(self.votes, self.ballots))

    @precondition(lambda self: self.is_over)
    @rule()
    def another_question_comes(self) -> None:
        self.ballots, self.standings = [], []

    @invariant()
    def nobody_is_asked_more_often_than_the_charter_says(self) -> None:
        assert len(self.ballots) <= self.votes.ask
        assert self.is_over or len(self.ballots) < self.votes.ask

    @invariant()
    def the_leader_has_the_most_votes_and_the_least_confidence_of_them(self) -> None:
        if not self.standings:
            return
        standing, cast = self.standings[-1], self._votes_for(self.ballots)
        [leading] = self._votes_for([standing.leader])
        assert (standing.cast, standing.agreeing) == (len(self.ballots), max(cast.values()))
        assert cast[leading] == standing.agreeing
        theirs = [each for each in self.ballots if [*self._votes_for([each])] == [leading]]
        assert standing.leader.confidence == min(each.confidence for each in theirs)
        assert standing.leader.parameters == theirs[0].parameters

    @invariant()
    def it_is_over_when_nothing_can_change_it_any_more(self) -> None:
        if not self.standings:
            return
        to_come = self.votes.ask - len(self.ballots)
        ends = {
            max(self._votes_for([*self.ballots, *more]).values()) >= self.votes.agree
            for more in product(POSSIBLE, repeat=to_come)
        }
        standing = self.standings[-1]
        assert standing.is_over == (standing.is_agreed or ends == {False})
        assert not standing.is_agreed or ends == {True}

    @invariant()
    def votes_are_never_taken_back(self) -> None:
        agreeing = [standing.agreeing for standing in self.standings]
        assert agreeing == sorted(agreeing)
        assert not any(standing.is_over for standing in self.standings[:-1])


TestElection = Election.TestCase
