"""The state of one running playbook: what has come of each step, and what the next ones can see.

`conversation.py` keeps one for each run and adds outcomes; `ending.py` reads it.
"""

from datetime import datetime

import orjson

from processors.charter.compiled import CompiledCharter, CompiledStep
from processors.playbook.lifecycle import IllegalOutcome, State, advance
from processors.playbook.words import Progress
from processors.scopes import Scope, decision_scope
from schemas import ids
from schemas.records import Decision, StepOutcome, StepStatus

MAX_RESULT_BYTES = 64_000


class Book:
    """`outcomes` grows: first one for each step, in order, then those of the undos."""

    def __init__(self, decision: Decision, compiled: CompiledCharter, progress: Progress, now: datetime) -> None:
        self.decision = decision
        self.compiled = compiled
        self.now = now
        self.steps: tuple[CompiledStep, ...] = compiled.playbooks.get(decision.action, ())
        self.recorded = {outcome.step_id: outcome for outcome in progress.outcomes}
        self.intents = frozenset(progress.intents)
        self.outcomes: list[StepOutcome] = []
        self.states: list[State] = ["pending"] * len(self.steps)
        self._step_ids = tuple(ids.step_id(decision.decision_id, position) for position in range(len(self.steps)))
        self._scope = decision_scope(decision)

    def step_id(self, position: int) -> str:
        return self._step_ids[position]

    def add(self, position: int, outcome: StepOutcome) -> None:
        """Take an outcome of the step or of its undo. Raises `IllegalOutcome` where the step cannot have it."""
        if outcome.position != position:
            raise IllegalOutcome(f"the outcome is of position {outcome.position}, the step's is {position}")
        if self.states[position] == "pending" and outcome.status != "skipped":
            self.states[position] = advance("pending", "begun")
        self.states[position] = advance(self.states[position], outcome.status)
        self.outcomes.append(outcome)

    def unasked(
        self, position: int, status: StepStatus, *, result: str = "null", error: str | None = None
    ) -> StepOutcome:
        """An outcome that came without asking anyone outside."""
        undo = status in ("undone", "undo_failed")
        policy = self.steps[position].policy
        return StepOutcome(
            step_id=ids.undo_id(self.step_id(position)) if undo else self.step_id(position),
            position=position,
            handler=policy.undo.do if undo and policy.undo else policy.do,
            status=status,
            result=_bounded(result),
            error=error,
            attempts=0,
            started_at=self.now,
        )

    def scope(self, position: int) -> Scope:
        """What the step at `position` sees: the results of the named steps before it."""
        named = zip(self.steps[:position], self.outcomes, strict=False)
        return self._scope.having(
            steps={
                step.policy.as_: orjson.loads(outcome.result)
                for step, outcome in named
                if step.policy.as_ is not None and outcome.status == "done"
            }
        )

    def calls_outside(self, handler: str) -> bool:
        return bool(self.compiled.charter.handlers[handler].outside)

    @property
    def external_calls(self) -> int:
        """Calls of the whole case, every attempt counted."""
        made = sum(outcome.attempts for outcome in self.outcomes if self.calls_outside(outcome.handler))
        return self.decision.case.spent.external_calls + made

    @property
    def last_status(self) -> StepStatus | None:
        """What came of the last step or undo; None before the first."""
        return self.outcomes[-1].status if self.outcomes else None

    def positions(self, state: State) -> list[int]:
        return [position for position, found in enumerate(self.states) if found == state]


def _bounded(json_text: str) -> str:
    if len(json_text.encode()) <= MAX_RESULT_BYTES:
        return json_text
    return orjson.dumps(json_text[: MAX_RESULT_BYTES // 5] + "…").decode()
