"""The table that a night is expected to end in, as its file says it; and how the one that was played differs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict

from nightdesk.processors.night_report import NightReport
from nightdesk.processors.quantities import parse_duration
from nightdesk.schemas.records import AuditRecord


class Range(NamedTuple):
    """The least and the most that is expected."""

    least: float
    most: float

    def has(self, amount: float) -> bool:
        return self.least <= amount <= self.most


def _number(text: str) -> float:
    return parse_duration(text) if text[-1:] in "smhd" else float(text)


def _range(value: Any) -> Any:
    if isinstance(value, int | float):
        return Range(value, value)
    if not isinstance(value, str) or ".." not in value:
        raise ValueError(f"{value!r} is no range: write 3, 2..5, ..5, 2.. or, of a wait, 4h..270m")
    least, _, most = value.partition("..")
    return Range(_number(least) if least else 0, _number(most) if most else float("inf"))


Amount = Annotated[Range, BeforeValidator(_range)]
NONE = Range(0, 0)


class Expected(BaseModel):
    """What is not named of `ended` (events), `told` (events by route and class) and `agents` (cases) is not to happen.
    Of `longest_waits` and `decided_by` (the provider of a decision) only what is named is compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ended: Mapping[str, Amount]
    told: Mapping[str, Mapping[str, Amount]] = {}
    agents: Mapping[str, Amount] = {}
    longest_waits: Mapping[str, Amount] = {}
    decided_by: Mapping[str, Amount] = {}
    cost_usd: Amount = Range(0, float("inf"))


def differences(expected: Expected, report: NightReport, audits: Iterable[AuditRecord]) -> Iterator[str]:
    """What is not as expected, one line each."""
    yield from compared("ended", report.ended, expected.ended)
    told = {f"{told.route} of {told.event_class}": told.events for told in report.told if told.messages}
    wanted = {f"{route} of {name}": amount for route, told in expected.told.items() for name, amount in told.items()}
    yield from compared("told", told, wanted)
    if expected.agents:
        yield from compared("agents", {agent.agent: agent.cases for agent in report.agents}, expected.agents)
    waits = {status: wait.length(report.until).total_seconds() for status, wait in report.longest_waits.items()}
    yield from compared(
        "longest_waits", {name: waits.get(name, 0) for name in expected.longest_waits}, expected.longest_waits
    )
    decided = Counter(record.provider for record in audits if record.kind == "decided")
    yield from compared("decided_by", {name: decided[name] for name in expected.decided_by}, expected.decided_by)
    yield from compared("cost_usd", {"": report.cost_microusd / 1e6}, {"": expected.cost_usd})


def compared(what: str, found: Mapping[str, float], expected: Mapping[str, Range]) -> Iterator[str]:
    """What is not within its range; what has none is expected not to be there."""
    for name in sorted(found.keys() | expected.keys()):
        wanted, amount = expected.get(name, NONE), found.get(name, 0)
        if not wanted.has(amount):
            yield f"{what} {name}: {amount:g}, expected {wanted.least:g} to {wanted.most:g}"
