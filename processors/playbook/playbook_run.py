"""The state of one running playbook: the outcome of each step, and what later steps can read."""

from datetime import datetime

import orjson

from nightdesk.processors.charter.compiled import CompiledCharter, CompiledStep
from nightdesk.processors.playbook.lifecycle import IllegalOutcome, State, advance
from nightdesk.processors.playbook.types import Progress
from nightdesk.processors.scopes import Scope, decision_scope
from nightdesk.schemas import ids
from nightdesk.schemas.records import Decision, StepOutcome, StepStatus

MAX_RESULT_BYTES = 64_000


class PlaybookRun:
    """`outcomes` grows: first one for each step, in order, then those of the undos."""

    def __init__(self, decision: Decision, compiled: CompiledCharter, progress: Progress, now: datetime) -> None:
        self.decision = decision
        self.compiled = compiled
        self.now = now
        self.steps: tuple[CompiledStep, ...] = compiled.playbooks.get(decision.action, ())
        self.recorded = {outcome.step_id: outcome for outcome in progress.outcomes}
        self.intents = frozenset(progress.intents)
        self._called_before_ms = progress.called_ms
        self.outcomes: list[StepOutcome] = []
        self.states: list[State] = ["pending"] * len(self.steps)
        self.runs = progress.runs
        self._earlier = progress.earlier
        positions = range(len(self.steps))
        self._step_ids = tuple(ids.step_id(decision.decision_id, at, self._generation(at)) for at in positions)
        self._scope = decision_scope(decision)

    def step_id(self, position: int) -> str:
        return self._step_ids[position]

    def _generation(self, position: int) -> int:
        """How often the step has ended before. Each run needs a new key, because the other side would repeat its
        response to an old one.
        """
        ended = ("done", "failed")
        return sum(outcome.position == position and outcome.status in ended for outcome in self._earlier)

    def add(self, position: int, outcome: StepOutcome) -> None:
        """Add an outcome of the step or of its undo. Raises `IllegalOutcome` if the step cannot have it."""
        if outcome.position != position:
            raise IllegalOutcome(f"the outcome is of position {outcome.position}, the step's is {position}")
        if self.states[position] == "pending" and outcome.status not in ("skipped", "would_have"):
            self.states[position] = advance("pending", "begun")
        self.states[position] = advance(self.states[position], outcome.status)
        self.outcomes.append(outcome)

    def local_outcome(
        self, position: int, status: StepStatus, *, result: str = "null", error: str | None = None
    ) -> StepOutcome:
        """An outcome without a call."""
        undo = status in ("undone", "undo_failed")
        policy = self.steps[position].policy
        return StepOutcome(
            step_id=ids.undo_id(self.step_id(position)) if undo else self.step_id(position),
            position=position,
            handler=policy.undo.do if undo and policy.undo else policy.do,
            status=status,
            result=bounded(result),
            error=error,
            attempts=0,
            started_at=self.now,
        )

    def scope(self, position: int) -> Scope:
        """What the step at `position` can read: the results of earlier named steps."""
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
    def asks_a_person(self) -> bool:
        """Whether a person would have to approve the decision of this dry run in live mode."""
        return self.decision.would_need_approval

    @property
    def external_calls(self) -> int:
        """Calls of the whole case, counting every attempt."""
        outcomes = (*self._earlier, *self.outcomes)
        made = sum(outcome.attempts for outcome in outcomes if self.calls_outside(outcome.handler))
        return self.decision.case.spent.external_calls + made

    @property
    def worked_ms(self) -> int:
        """The working time of the whole case: deciding and calling, every attempt included, and no waiting."""
        called_now_ms = sum(outcome.latency_ms for outcome in self.outcomes if outcome.step_id not in self.recorded)
        return self.decision.case.spent.worked_ms + self._called_before_ms + called_now_ms

    @property
    def last_status(self) -> StepStatus | None:
        """The status of the last step or undo; None before the first."""
        return self.outcomes[-1].status if self.outcomes else None

    def positions(self, state: State) -> list[int]:
        return [position for position, found in enumerate(self.states) if found == state]


def bounded(json_text: str, at_most_bytes: int = MAX_RESULT_BYTES) -> str:
    """The JSON text, or of a large one its beginning as a JSON string."""
    if len(json_text.encode()) <= at_most_bytes:
        return json_text
    return orjson.dumps(json_text[: at_most_bytes // 5] + "…").decode()
