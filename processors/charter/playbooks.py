"""The steps of a charter's playbooks, how each is undone, and the events that cancel a reminder.

`handlers.py` has the handlers that the steps call. `processors/playbook/` performs the steps.
"""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from nightdesk.processors.charter.fields import (
    EventExpression,
    HandlerName,
    Identifier,
    Names,
    Part,
    StepTemplate,
    UndoTemplate,
)
from nightdesk.schemas.records import CancelCondition


class EventCondition(Part):
    """Events of the case's subject: their type, and `when` if not all of that type count."""

    type: str = Field(min_length=1)
    when: EventExpression | None = None

    @property
    def recorded(self) -> CancelCondition:
        """The condition as records and tables have it."""
        return CancelCondition(type=self.type, when=self.when or "")


class Undo(Part):
    """How a step is undone. `with` sees the step's `result`; without `with` the undo gets the values of the step.

    A charter may write only the handler's name.
    """

    do: HandlerName
    with_: dict[str, UndoTemplate] | None = Field(default=None, alias="with")


def _undo(value: Any) -> Any:
    return {"do": value} if isinstance(value, str) else value


class Step(Part):
    """One step of a playbook. `as` names its result for later steps (`steps.NAME`). `cancel_when`, of a `remind`: the
    events that cancel it before it is due.
    """

    do: HandlerName
    with_: dict[str, StepTemplate] = Field(default={}, alias="with")
    undo: Annotated[Undo, BeforeValidator(_undo, json_schema_input_type=str | Undo)] | None = None
    irreversible: bool = False
    as_: Identifier | None = Field(default=None, alias="as")
    cancel_when: tuple[EventCondition, ...] = Field(default=(), max_length=20)

    @model_validator(mode="after")
    def _can_be_taken_back(self, info: ValidationInfo) -> Self:
        names = info.context
        if self.undo is not None and self.irreversible:
            raise ValueError("has an undo and irreversible: true; keep one of them")
        if isinstance(names, Names) and self.undo is None and not self.irreversible and self.do not in names.read_only:
            remedy = "name its undo, or set irreversible: true (or read_only: true on the handler)"
            raise ValueError(f"{self.do} changes the world: {remedy}")
        return self
