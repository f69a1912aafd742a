"""The lifecycle of one step as a random walk: every state is reached, and each order is allowed only where it should
be.
"""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nightdesk.processors.playbook.lifecycle import NEXT, IllegalOutcome, State, advance

STATES = sorted(NEXT)
ENDS: frozenset[State] = frozenset({"failed", "unknown", "skipped", "undone", "undo_failed", "would_have"})


class Life(RuleBasedStateMachine):
    """A step that gets every order; the model is the sentence that it must obey:

    What was not begun is never done; what was not done is never undone; an end is final.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state: State = "pending"
        self.past: list[State] = ["pending"]

    @rule(to=st.sampled_from(STATES))
    def order(self, to: State) -> None:
        if to in NEXT[self.state]:
            self.state = advance(self.state, to)
            self.past.append(to)
        else:
            with pytest.raises(IllegalOutcome, match=self.state):
                advance(self.state, to)

    @precondition(lambda self: self.state not in ENDS)
    @rule()
    def is_not_stuck(self) -> None:
        assert NEXT[self.state]

    @invariant()
    def nothing_is_done_that_was_not_begun(self) -> None:
        assert "begun" in self.past or not {"done", "unknown"} & set(self.past)

    @invariant()
    def nothing_is_undone_that_was_not_done(self) -> None:
        assert "done" in self.past or not {"undone", "undo_failed"} & set(self.past)

    @invariant()
    def no_state_comes_twice_and_nothing_follows_an_end(self) -> None:
        assert len(set(self.past)) == len(self.past)
        assert not ENDS & set(self.past[:-1])


TestLife = Life.TestCase


def test_every_state_can_be_reached() -> None:
    reached: set[State] = {"pending"}
    while more := {to for state in reached for to in NEXT[state]} - reached:
        reached |= more
    assert reached == set(NEXT)


def test_the_ends_are_the_states_that_nothing_follows() -> None:
    assert {state for state, following in NEXT.items() if not following} == ENDS
