"""How much an agent may use: pace, money, and what one case may come to. Parts of the charter (`model.py`)."""

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from processors.charter.fields import ActionName, Part
from processors.charter.quantities import DurationSeconds, Probability, Rate

MICROUSD_PER_USD = 1_000_000

Usd = Annotated[Decimal, Field(ge=0, decimal_places=6, max_digits=15)]


def _microusd(usd: Decimal) -> int:
    return int(usd * MICROUSD_PER_USD)


class Limits(Part):
    """How often: events of one subject, cases of the whole agent, and each of the named actions."""

    per_subject: Rate | None = None
    agent: Rate | None = None
    actions: dict[ActionName, Rate] = Field(default={})


class TaskBudget(Part):
    """What a day's cases of one task may spend on models."""

    per_day_usd: Usd

    @property
    def per_day_microusd(self) -> int:
        return _microusd(self.per_day_usd)


class Budget(Part):
    """What the agent may spend on models. Nothing, unless it is said. `events` and `actions` cap parts of the day's."""

    per_day_usd: Usd = Decimal(0)
    per_case_usd: Usd = Decimal(0)
    when_spent: Literal["defer", "escalate", "refuse"] = "defer"
    events: dict[str, TaskBudget] = Field(default={})
    actions: dict[ActionName, TaskBudget] = Field(default={})

    @cached_property
    def per_day_microusd(self) -> int:
        return _microusd(self.per_day_usd)

    @cached_property
    def per_case_microusd(self) -> int:
        return _microusd(self.per_case_usd)

    @model_validator(mode="after")
    def _case_fits_the_day(self) -> Self:
        if self.per_case_usd > self.per_day_usd:
            raise ValueError("per_case_usd is more than per_day_usd: no case could ever begin")
        return self


class Anomalies(Part):
    """What is not to be expected of the last cases: the agent is paused when one of these is passed in `window`, once
    there were `at_least` so many."""

    window: DurationSeconds = Field(default=3600, le=86_400)
    at_least: int = Field(default=20, ge=1, le=100_000)
    cost_per_case_usd: Usd | None = None
    error_rate: Probability | None = None
    low_confidence_rate: Probability | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.cost_per_case_usd is None and self.error_rate is None and self.low_confidence_rate is None:
            raise ValueError("bounds nothing: give cost_per_case_usd, error_rate or low_confidence_rate")
        return self


class Bounds(Part):
    """What one case may use before it stops and goes to a person."""

    actions: int = Field(default=5, ge=1, le=100)
    external_calls: int = Field(default=10, ge=1, le=1000)
    model_calls: int = Field(default=6, ge=1, le=100)
    seconds: int = Field(default=120, ge=1)
