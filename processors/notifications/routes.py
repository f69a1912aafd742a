"""Routes: which classes of events each is told of, when, and which route is next if one fails or nobody
reacts. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from nightdesk.processors.notifications.classes import CLASSES, TOLD_ONCE, WITH_BUTTONS, Notice
from nightdesk.processors.quantities import DurationSeconds
from nightdesk.schemas.records import EventClass

_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


def _separated(value: Any) -> Any:
    if value == "all":
        return frozenset(CLASSES)
    return frozenset(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _check_hours(text: str) -> str:
    if text and not _HOURS.fullmatch(text):
        raise ValueError(f"{text!r} are not hours: write 22:00-07:00")
    return text


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is no time zone: write Europe/Berlin") from None
    return name


Classes = Annotated[frozenset[EventClass], BeforeValidator(_separated)]
AgentNames = Annotated[frozenset[str], BeforeValidator(_separated)]


class RoutePolicy(BaseModel):
    """The settings of a route apart from its channel.

    It gets the classes in `tell` of `agents` (empty: all). In `quiet_hours` (22:00-07:00, in `time_zone`) its messages
    wait, except the classes in `always`. Notices of a class are collected for `batch`, and while messages of a class
    follow each other, for twice as long each time, up to `batch_at_most`. `otherwise` names the route to
    use if this one fails for `give_up_after`, or if nobody reacts within `unanswered_after`. `buttons`: its messages
    have buttons for approvals.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tell: Classes = frozenset(CLASSES)
    agents: AgentNames = frozenset()
    quiet_hours: Annotated[str, AfterValidator(_check_hours)] = ""
    time_zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    always: Classes = frozenset({"stop", "fault"})
    batch: DurationSeconds = 60
    batch_at_most: DurationSeconds = 1800
    otherwise: str = Field(default="", max_length=64)
    unanswered_after: DurationSeconds | None = None
    give_up_after: DurationSeconds = 3600
    buttons: bool = False

    def tells_end(self, event_class: str) -> bool:
        """Whether people are told that something of this class is over, if their channel cannot close its message."""
        return event_class in TOLD_ONCE or (self.buttons and event_class in WITH_BUTTONS)

    def due_at(self, event_class: str, now: datetime, run: int = 0) -> datetime:
        """When a batch that begins now is sent, after `run` messages of its class that followed each other."""
        return self.not_before(event_class, now + timedelta(seconds=self.collects_s(event_class, run)))

    def collects_s(self, event_class: str, run: int) -> int:
        """How long the notices of a message are collected. The second message takes no longer than the first; what goes
        on after that is told of less and less often.
        """
        if event_class in self.always:
            return self.batch
        doubled = self.batch << min(max(run - 1, 0), 30)
        return max(self.batch, min(doubled, self.batch_at_most))

    def follows(self, event_class: str, before: datetime, run: int, now: datetime) -> bool:
        """Whether a batch that begins now follows the message that was due at `before`, as number `run`."""
        return now <= before + timedelta(seconds=2 * self.collects_s(event_class, run))

    def not_before(self, event_class: str, at: datetime) -> datetime:
        """When something that is to be sent at `at` may be."""
        return at if event_class in self.always else self._after_quiet(at)

    def _after_quiet(self, at: datetime) -> datetime:
        """`at`, or the end of the quiet hours that contain it, in local time: a day may have 23 hours."""
        found = _HOURS.fullmatch(self.quiet_hours)
        if found is None:
            return at
        begins, ends = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        local = at.astimezone(ZoneInfo(self.time_zone))
        clock = local.time()
        is_quiet = begins <= clock < ends if begins <= ends else clock >= begins or clock < ends
        if not is_quiet:
            return at
        day = local.date() + timedelta(days=1 if clock >= begins and begins > ends else 0)
        return datetime.combine(day, ends, ZoneInfo(self.time_zone)).astimezone(at.tzinfo)


def routes_of(
    notice: Notice, agent: str | None, routes: Mapping[str, RoutePolicy], wanted: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    """The routes that get the notice, each once. `wanted` has the classes that the agent's charter adds to routes."""
    for name, policy in routes.items():
        is_of_agent = not policy.agents or agent in policy.agents
        if (is_of_agent and notice.event_class in policy.tell) or notice.event_class in wanted.get(name, ()):
            yield name


def check_chain(routes: Mapping[str, RoutePolicy]) -> None:
    """Raise ValueError for an `otherwise` that names no route, or for a circle of them."""
    for name in routes:
        seen = [name]
        while following := routes[seen[-1]].otherwise:
            if following not in routes:
                raise ValueError(f"otherwise of {seen[-1]}: there is no route {following!r}")
            if following in seen:
                raise ValueError(f"otherwise of {seen[-1]} comes back to {following!r}")
            seen.append(following)
