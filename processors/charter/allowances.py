"""How much an agent may use: rates, money, and the bounds of one case. Parts of the charter (`model.py`)."""

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from nightdesk.processors.charter.fields import ActionName, EventExpression, Part
from nightdesk.processors.quantities import DurationSeconds, Probability, Rate

MICROUSD_PER_USD = 1_000_000
# Long enough for a night, or for an outage of a day and its backlog, but not for a weekend.
STALE_AFTER_S = 48 * 3600

Usd = Annotated[Decimal, Field(ge=0, decimal_places=6, max_digits=15)]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"{name!r} is no time zone: write its IANA name, as in Europe/Berlin") from None
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


def _microusd(usd: Decimal) -> int:
    return int(usd * MICROUSD_PER_USD)


class Limits(Part):
    """Rate limits: events of one subject, cases of the whole agent, and each of the named actions.

    A case over `per_subject` waits for its turn, for `wait_at_most`: then a person gets it.
    """

    per_subject: Rate | None = None
    over_limit: Literal["wait", "refuse"] = "wait"
    wait_at_most: DurationSeconds = 86_400
    agent: Rate | None = None
    actions: dict[ActionName, Rate] = Field(default={})


class TaskBudget(Part):
    """The most that a day's cases of one event type or action may spend on models."""

    per_day_usd: Usd

    @property
    def per_day_microusd(self) -> int:
        return _microusd(self.per_day_usd)


class Budget(Part):
    """The most that the agent may spend on models; nothing by default. `events` and `actions` cap parts of the day."""

    per_day_usd: Usd = Decimal(0)
    per_case_usd: Usd = Decimal(0)
    when_spent: Literal["defer", "rules", "escalate", "refuse"] = "defer"
    time_zone: TimeZone = "UTC"
    reserve_usd: Usd = Field(default=Decimal(0), description="of per_day_usd: only for urgent cases")
    urgent: EventExpression | None = None
    events: dict[str, TaskBudget] = Field(default={})
    actions: dict[ActionName, TaskBudget] = Field(default={})

    @cached_property
    def per_day_microusd(self) -> int:
        return _microusd(self.per_day_usd)

    @cached_property
    def reserve_microusd(self) -> int:
        return _microusd(self.reserve_usd)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone of the budget's days."""
        return ZoneInfo(self.time_zone)

    @cached_property
    def per_case_microusd(self) -> int:
        return _microusd(self.per_case_usd)

    @model_validator(mode="after")
    def _case_fits_the_day(self) -> Self:
        if self.per_case_usd > self.per_day_usd:
            raise ValueError("per_case_usd is more than per_day_usd: no case could ever start")
        if self.reserve_usd and self.urgent is None:
            raise ValueError("reserve_usd is for urgent cases: say with urgent which cases are")
        if self.reserve_usd and self.per_case_usd > self.per_day_usd - self.reserve_usd:
            raise ValueError("per_case_usd is more than per_day_usd less reserve_usd: only urgent cases could start")
        return self


class Queue(Part):
    """How steps wait that cannot start at once. By default a step waits for a whole day (which may have 25 hours) and
    an hour.
    """

    priority: EventExpression | None = Field(default=None, description="CEL over event: a whole number, 0 by default")
    wait_at_most: DurationSeconds = Field(default=26 * 3600, description="then a person gets the case")
    stale_after: DurationSeconds = Field(default=72 * 3600, description="a case that is older does not begin")
    when_stale: Literal["escalate", "refuse"] = "escalate"


# The names of the bounds in the charter. Those of the second kind were added later: by default they only observe, so
# that they can be tried first.
EnforcedUnlessTold = Literal["cost_per_case_usd", "error_rate", "low_confidence_rate"]
ObservedUnlessTold = Literal["spend_usd", "refusal_rate", "undecided_rate", "slow_rate"]
AnomalyBound = EnforcedUnlessTold | ObservedUnlessTold


class Anomalies(Part):
    """Bounds on recent cases: the agent is stopped if one is exceeded in `window`, once there were `at_least` cases.
    `mode` applies to all of them; without it each bound has its own default. `slow_rate` is about decisions that took
    longer than `slow_after`.
    """

    window: DurationSeconds = Field(default=3600, le=86_400)
    at_least: int = Field(default=3, ge=1, le=100_000)
    cost_per_case_usd: Usd | None = None
    error_rate: Probability | None = None
    low_confidence_rate: Probability | None = None
    spend_usd: Usd | None = None
    refusal_rate: Probability | None = None
    undecided_rate: Probability | None = None
    slow_rate: Probability | None = None
    slow_after: DurationSeconds = 30
    mode: Literal["observe", "enforce"] | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        bounds = (*get_args(EnforcedUnlessTold), *get_args(ObservedUnlessTold))
        if all(getattr(self, bound) is None for bound in bounds):
            raise ValueError(f"has no bound: set one of {', '.join(bounds)}")
        return self

    def enforces(self, bound: AnomalyBound) -> bool:
        """Whether exceeding this bound stops the agent; otherwise it is only reported."""
        return self.mode == "enforce" if self.mode is not None else bound in get_args(EnforcedUnlessTold)


class Bounds(Part):
    """The most that one case may use before it stops and goes to a person.

    `seconds` is the time of work: of models that were asked and handlers that were called. A case that is older than
    `stale_after` is not acted on any more: a person is asked, or it is dropped.
    """

    actions: int = Field(default=5, ge=1, le=100)
    external_calls: int = Field(default=10, ge=1, le=1000)
    model_calls: int = Field(default=6, ge=1, le=100)
    seconds: int = Field(default=120, ge=1)
    stale_after: DurationSeconds = STALE_AFTER_S
    when_stale: Literal["ask", "drop"] = "ask"
