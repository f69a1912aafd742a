"""The actions of a charter: what its agent may choose, and how each choice is handled."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from nightdesk.processors.charter.baselines import Baseline
from nightdesk.processors.charter.fields import (
    ActionName,
    EventExpression,
    JsonSchema,
    Part,
)
from nightdesk.processors.charter.playbooks import EventCondition
from nightdesk.processors.quantities import DurationSeconds, Probability, Share
from nightdesk.schemas.records import Kind

WAIT_AT_MOST_S = 30 * 86_400  # the default
APPROVAL_EXPIRES_S = 72 * 3600

# Other decisions about a subject are remembered for this time.
APPROVAL_EXPIRES_AT_MOST_S = 30 * 86_400


class Retry(Part):
    """How often an action that failed is carried out again, and how long after each failure."""

    times: int = Field(default=3, ge=1, le=20)
    every: DurationSeconds = 600


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Requesters = Annotated[
    tuple[EventExpression, ...],
    Field(max_length=5),
    BeforeValidator(_listed, json_schema_input_type=EventExpression | tuple[EventExpression, ...]),
]


class FourEyes(Part):
    """Who has to approve a decision, and who may not; anybody may reject it.

    - `approvers`: this many different persons have to approve the same payload.
    - `requested_by`: the person who asked for it may not approve it; each expression gives a name or a list of names.
    - `not_promoter`: whoever applied or promoted the charter's version may not approve.
    """

    approvers: int = Field(default=1, ge=1, le=5)
    requested_by: Requesters = ()
    not_promoter: bool = False

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.approvers == 1 and not self.requested_by and not self.not_promoter:
            raise ValueError("asks for nothing: set approvers: 2, requested_by or not_promoter: true, or remove it")
        return self


class Action(Part):
    """An action that the agent may choose; an action that is not named here cannot happen.

    - `parameters` is the JSON Schema of the decision's parameters; without one there are none.
    - `at_most` bounds a `wait`.
    - `approval_expires` is how long a decision waits for a person, and `on_expiry` is what happens after that.
    - `approval_reminders` are the shares of that time after which the approvers are reminded.
    - `one_open_per: subject`: while a decision for this action waits, every other one about the subject needs approval
      too, and an approval of one is shown to whoever answers the others before their answer counts.
    - `four_eyes` says how many persons have to approve, and who may not.
    - `reconsider_on`: events of the subject that take a decision back while it waits for a person; the case is decided
      again.
    - `on_failure` says what becomes of an action that failed: a person gets it, it is a dead letter, or it is carried
      out again as `retry` says, and then a person gets it.
    - `otherwise` names the escalation to use if this one fails.
    - `baseline` is what such a case takes where a person handles it.
    """

    kind: Kind
    description: str = ""
    confidence: Probability = 0.0
    approval: Literal["never", "always", "below_threshold"] = "below_threshold"
    writes: bool = False
    parameters: JsonSchema | None = None
    at_most: DurationSeconds | None = None
    approval_expires: Annotated[DurationSeconds, Field(le=APPROVAL_EXPIRES_AT_MOST_S)] = APPROVAL_EXPIRES_S
    on_expiry: Literal["escalate", "refuse"] = "escalate"
    approval_reminders: tuple[Share, ...] = Field(default=(0.5, 0.9), max_length=10)
    one_open_per: Literal["subject", "case"] = "subject"
    four_eyes: FourEyes | None = None
    reconsider_on: tuple[EventCondition, ...] = Field(default=(), max_length=20)
    on_failure: Literal["escalate", "dead_letter", "retry"] = "escalate"
    retry: Retry | None = None
    otherwise: ActionName | None = None
    baseline: Baseline | None = None

    @property
    def retry_policy(self) -> Retry | None:
        """How the action is carried out again after a failure; None if it is not."""
        return (self.retry or Retry()) if self.on_failure == "retry" else None

    @property
    def longest_wait_s(self) -> int:
        """The longest time, in seconds, that a case may wait with this action."""
        return self.at_most or WAIT_AT_MOST_S

    @model_validator(mode="after")
    def _waits(self) -> Self:
        if self.at_most is not None and self.kind != "wait":
            raise ValueError("at_most is for actions of kind wait")
        return self

    @model_validator(mode="after")
    def _reminds_in_order(self) -> Self:
        if list(self.approval_reminders) != sorted(set(self.approval_reminders)):
            raise ValueError("approval_reminders: list them from the smallest to the largest, each once")
        return self

    @model_validator(mode="after")
    def _fails_in_one_way(self) -> Self:
        if self.retry is not None and self.on_failure != "retry":
            raise ValueError("retry is for on_failure: retry: set that, or remove retry")
        if self.otherwise is not None and self.kind != "escalate":
            raise ValueError(
                "otherwise is for actions of kind escalate: remove it, because on_failure decides for other actions"
            )
        return self

    @model_validator(mode="after")
    def _saves_where_it_completes(self) -> Self:
        if self.baseline is not None and self.kind != "respond":
            raise ValueError("baseline is for actions of kind respond: only a case that they complete saves work")
        return self
