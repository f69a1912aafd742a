"""A playbook that is run, killed and started again in any order: each step once, each undo once, one ending.

The machine is the act stage at its worst: it records an intent before a call, loses any answers, and starts from what
was recorded.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nightdesk.processors import playbook
from nightdesk.processors.playbook import Ending, Progress, RunStep, StepResult
from nightdesk.schemas.records import StepOutcome
from tests.processors.test_playbook import FATE, NOW, STEP, WRITTEN, charter, decision, drive

STOPS = frozenset({"failed", "unknown", "skipped"})


class Play(RuleBasedStateMachine):
    """`asked` is the step whose call comes next; `calls` has what was answered and recorded, in order."""

    @initialize(
        names=st.lists(st.one_of(st.just("send"), STEP), min_size=1, max_size=6),
        kind=st.sampled_from(["respond", "research", "wait", "escalate"]),
        bound=st.integers(3, 12),
    )
    def begins(self, names: list[str], kind: Any, bound: int) -> None:
        steps = [WRITTEN[name] for name in names]
        self.compiled = charter(steps, kind=kind, bounds={"external_calls": bound})
        self.made = decision(kind=kind)
        self.names = names
        self.calls: list[tuple[RunStep, StepOutcome]] = []
        self.intents: list[str] = []
        self.ending: Ending | None = None
        self._start()

    def _start(self) -> None:
        outcomes = tuple(outcome for _, outcome in self.calls)
        called_ms = sum(outcome.latency_ms for outcome in outcomes)
        self.flow = playbook.run(
            self.made, self.compiled, Progress(outcomes, tuple(self.intents), called_ms=called_ms), NOW
        )
        self._advance(None)

    def _advance(self, outcome: StepOutcome | None) -> None:
        self.asked: RunStep | None = None
        try:
            self.asked = next(self.flow) if outcome is None else self.flow.send(outcome)
        except StopIteration as stop:
            again: Ending = stop.value
            assert self.ending in (None, again), "another ending than before"
            self.ending = again

    @precondition(lambda self: self.asked is not None)
    @rule(fate=FATE)
    def is_answered(self, fate: Any) -> None:
        assert self.asked is not None
        outcome = self.asked.outcome(StepResult(fate), started_at=NOW, latency_ms=1)
        self.calls.append((self.asked, outcome))
        self._advance(outcome)

    @precondition(lambda self: self.asked is not None)
    @rule()
    def dies_in_the_midst_of_the_call(self) -> None:
        assert self.asked is not None
        if self.asked.step_id not in self.intents:
            self.intents.append(self.asked.step_id)
        self._start()

    @rule()
    def dies(self) -> None:
        self._start()

    @invariant()
    def what_is_recorded_is_not_asked_again(self) -> None:
        if self.asked is not None:
            assert self.asked.step_id not in {outcome.step_id for _, outcome in self.calls}

    @invariant()
    def a_call_that_was_begun_is_said_to_be(self) -> None:
        if self.asked is not None:
            assert self.asked.begun == (self.asked.step_id in self.intents)

    @invariant()
    def it_goes_forward_until_a_step_stops_it_and_back_from_there(self) -> None:
        asked = [step for step, _ in self.calls] + ([self.asked] if self.asked else [])
        there = [step.position for step in asked if not step.undo]
        back = [step.position for step in asked if step.undo]
        assert there == sorted(set(there))
        assert back == sorted(set(back), reverse=True)
        assert asked[: len(there)] == [step for step in asked if not step.undo], "no step follows an undo"
        done = {step.position for step, outcome in self.calls if outcome.status == "done"}
        assert {*back} <= {position for position in done if self.names[position] == "send"}

    @invariant()
    def nothing_is_asked_after_a_step_whose_fate_is_unknown(self) -> None:
        if any(outcome.status == "unknown" for _, outcome in self.calls):
            assert self.asked is None

    @invariant()
    def it_ends_as_it_would_have_without_dying(self) -> None:
        if self.ending is not None:
            known = {step.step_id: outcome for step, outcome in self.calls}
            asked, whole = drive(self.made, self.compiled, lambda step: known[step.step_id])
            assert whole == self.ending
            assert [step.step_id for step in asked] == list(known)


TestPlay = Play.TestCase
