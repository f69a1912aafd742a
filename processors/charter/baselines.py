"""What a case takes where people handle it: the measure of what the agent saves. Part of the charter (`model.py`)."""

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from nightdesk.processors.charter.allowances import MICROUSD_PER_USD, Usd
from nightdesk.processors.charter.fields import Part

Minutes = Annotated[Decimal, Field(ge=0, le=100_000, decimal_places=3)]


class Baseline(Part):
    """The minutes that a person works on such a case, and what the case costs without the agent."""

    minutes: Minutes = Decimal(0)
    usd: Usd = Decimal(0)

    @cached_property
    def seconds(self) -> int:
        return round(self.minutes * 60)

    @cached_property
    def microusd(self) -> int:
        return int(self.usd * MICROUSD_PER_USD)

    @model_validator(mode="after")
    def _measures_something(self) -> Self:
        if not self.minutes and not self.usd:
            raise ValueError("baseline measures nothing: give minutes, usd or both, as in {minutes: 6, usd: 3.5}")
        return self
