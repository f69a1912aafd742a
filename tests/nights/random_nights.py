"""Nights that a seed draws: some hours with a few dozens of events, and anything of what goes wrong in the others."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from nightdesk.processors.notifications import RoutePolicy
from nightdesk.streams.catalog import STAGES
from tests.nights.night import ROUTES, Answer, Arrivals, Kill, Night, Order, Outage, People

# Ordinary evenings, both nights of the summer time, the end of a month and of a year.
EVENINGS = tuple(
    datetime.fromisoformat(f"{day}T20:00")
    for day in ("2026-11-24", "2026-03-28", "2026-10-24", "2026-11-30", "2026-12-31")
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
ANSWERS: tuple[Answer, ...] = (429, 503, "no connection", "lost", 401, 403)
WORKERS = tuple(stage.name for stage in STAGES)


def draw(seed: int) -> Night:
    """One of them."""
    rng = Random(f"night {seed}")
    begins = rng.choice(EVENINGS)
    ends = begins + timedelta(hours=rng.randint(3, 12))

    def moment() -> datetime:
        return begins + (ends - begins) * rng.random()

    return Night(
        title=f"random night {seed}",
        begins=begins,
        ends=ends,
        time_zone=rng.choice(ZONES),
        change=_change(rng),
        arrivals=tuple(_arrivals(rng, moment(), ends) for _ in range(rng.randint(1, 3))),
        outages=tuple(_outage(rng, moment()) for _ in range(rng.randint(0, 4))),
        orders=tuple(order for _ in range(rng.randint(0, 2)) for order in _pause(rng, moment())),
        kills=tuple(Kill(at=moment(), stage=rng.choice(WORKERS)) for _ in range(rng.randint(0, 5))),
        people=People(approve=rng.choice((0.0, 0.7)), reject=0.2, after=rng.choice((60, 3600))),
        model=rng.random() < 0.9,
        routes=_routes(rng),
    )


def _change(rng: Random) -> dict[str, Any]:
    per_day_usd = rng.choice((0.1, 0.2, 25))
    change: dict[str, Any] = {
        "budget": {
            "per_day_usd": per_day_usd,
            "per_case_usd": rng.choice((0.05, 0.1)),
            "when_spent": rng.choice(("defer", "defer", "escalate", "refuse")),
            "time_zone": rng.choice(ZONES),
        },
        "limits": rng.choice(({}, {"agent": "10/10m"}, {"per_subject": "3/1h"}, {"actions": {"respond": "2/1m"}})),
    }
    if rng.random() < 0.5:
        change |= {"decide": {"provider": ["anthropic"], "when_unavailable": "wait"}, "fallback": []}
    if rng.random() < 0.3:
        change["budget"]["events"] = {"ticket.created": {"per_day_usd": per_day_usd}}
    if rng.random() < 0.5:
        change["actions"] = {"refund": {"approval_expires": rng.choice(("10m", "2h"))}}
    return change


def _routes(rng: Random) -> dict[str, RoutePolicy]:
    """One route for most classes, which has another behind it or not, and one for all of them."""
    hours = rng.choice(("", "22:00-07:00", "23:30-01:15", "00:00-06:00"))
    ops: dict[str, Any] = {
        "tell": rng.choice(("all", "failure,unknown,approval,dead_letter,budget")),
        "quiet_hours": hours,
        "time_zone": rng.choice(ZONES),
        "batch": rng.choice((10, 60, 900)),
        "give_up_after": rng.choice((60, 3600)),
    }
    if rng.random() < 0.7:
        ops |= {"otherwise": "oncall", "unanswered_after": rng.choice((None, 60, 1800))}
    oncall = {"tell": rng.choice(("all", "stop,fault,anomaly")), "quiet_hours": rng.choice(("", "", hours))}
    return {"ops": RoutePolicy.model_validate(ops), "oncall": RoutePolicy.model_validate(oncall)}


def _arrivals(rng: Random, since: datetime, ends: datetime) -> Arrivals:
    until = min(since + timedelta(minutes=rng.choice((1, 20, 120))), ends)
    count = rng.randint(5, 25)
    subjects = rng.choice((None, None, 1, 4))
    return Arrivals(since=since, until=until, count=count, subjects=subjects, like=rng.choice(("good", "any")))


def _outage(rng: Random, since: datetime) -> Outage:
    return Outage(
        of=rng.choice(("anthropic", "helpdesk", "anthropic", "helpdesk", *ROUTES)),
        since=since,
        lasts=rng.choice((2, 60, 1800, 7200)),
        answers=rng.choice((*ANSWERS, 400)),
        share=rng.choice((1.0, 1.0, 0.4)),
        every=rng.choice((None, None, None, 10_800)),
    )


def _pause(rng: Random, at: datetime) -> tuple[Order, Order]:
    until = at + timedelta(minutes=rng.choice((1, 10, 30)))
    if rng.random() < 0.5:
        return Order(at=at, order="pause", reason="night"), Order(at=until, order="resume")
    return Order(at=at, order="stop_all", reason="night"), Order(at=until, order="resume", agent="*")
