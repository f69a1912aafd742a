"""`nightdesk night`: what the agents did last night, in one table.

JSON contract: docs/reference/commands.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any

import typer

from nightdesk.operations.nights import default_time_zone, night_period, report_night, time_zone
from nightdesk.output import Output, OutputOption, print_json, print_line, print_rows, without_silent
from nightdesk.processors.endings import WaitPeriod
from nightdesk.processors.night_report import NightReport, Order, Told
from nightdesk.settings import load_settings

MICROUSD = 1_000_000
# These are always shown, in this order; others follow if there are any.
ALWAYS_SHOWN = ("completed", "escalated", "needs_approval", "waiting", "deferred", "refused", "failed", "dead_letter")
# A machine in a data centre is often in one of these.
NAMES_OF_UTC = frozenset({"Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu"})


def night(
    since: Annotated[str, typer.Option(help="18:00, 2026-11-23T18:00, or 14h for 14 hours ago")] = "18:00",
    until: Annotated[
        str | None,
        typer.Option(help="the same; by default 08:00, or now if --since says how long ago", show_default=False),
    ] = None,
    zone: Annotated[
        str,
        typer.Option(
            "--time-zone",
            help="the zone of the times that you give and of the times that are shown; by default that of the"
            " charters' budgets, or else that of this machine",
        ),
    ] = "",
    output: OutputOption = Output.text,
) -> None:
    """Show how the events of last night ended, what waited for how long, and what it cost.

    Without a date it is the last night that has begun.
    """
    settings = load_settings()
    local = time_zone(zone) if zone else default_time_zone(settings)
    begin, end = night_period(since, until, local, datetime.now(UTC))
    print_night(report_night(settings, begin, end), local, output)


def print_night(report: NightReport, zone: tzinfo, output: Output = Output.text) -> None:
    """Print a night, with times in `zone` as text and in UTC as JSON."""
    if output is Output.json:
        print_json(document(report))
        return
    print_line(
        f"{_time(report.since, zone)} to {_time(report.until, zone)} {_name(zone)}: {report.events} events,"
        f" {report.lost} lost"
    )
    print_line()
    print_rows(without_silent(list(_ends(report, zone)), {"longest_wait": "", "about": ""}), output)
    if report.reasons:
        print_line()
        print_rows(list(_reasons(report)), output)
    if report.agents:
        print_line()
        print_rows(list(_agents(report)), output)
    if report.impact.completed:
        print_line()
        print_line(_impact(report))
    if report.told:
        print_line()
        print_rows(without_silent([_told(told) for told in report.told], {"not_sent": "0"}), output)
    if report.orders:
        print_line()
        print_rows([_order(order, zone) for order in report.orders], output)


def _ends(report: NightReport, zone: tzinfo) -> Iterator[dict[str, str]]:
    others = sorted((report.ended.keys() | report.longest_waits.keys()) - {*ALWAYS_SHOWN})
    for status in (*ALWAYS_SHOWN, *others):
        wait = report.longest_waits.get(status)
        yield {
            "ended": status,
            "events": str(report.ended.get(status, 0)),
            "longest_wait": "" if wait is None else _duration(wait.length(report.until)),
            "about": "" if wait is None else f"{wait.event.subject}, {_since_when(wait, zone)}: {wait.reason}",
        }


def _reasons(report: NightReport) -> Iterator[dict[str, str]]:
    """The most frequent reasons of each end, and how many events had another one or none."""
    for status, reasons in report.reasons.items():
        for reason, count in reasons:
            yield {"ended": status, "events": str(count), "why": reason}
        others = report.ended[status] - sum(count for _, count in reasons)
        if others:
            yield {"ended": status, "events": str(others), "why": "other reasons, or none"}


def _since_when(wait: WaitPeriod, zone: tzinfo) -> str:
    begin = f"{wait.began_at.astimezone(zone):%a %H:%M}"
    return f"since {begin}" if wait.ended_at is None else f"{begin} to {wait.ended_at.astimezone(zone):%a %H:%M}"


def _agents(report: NightReport) -> Iterator[dict[str, str]]:
    for agent in report.agents:
        yield {
            "agent": agent.agent,
            "cases": str(agent.cases),
            "model_calls": str(agent.model_calls),
            "cost": _usd(agent.cost_microusd),
        }


def _impact(report: NightReport) -> str:
    completed, saved_s, saved_microusd, unanswered = report.impact
    saved = f"{_duration(timedelta(seconds=saved_s))} and {_usd(saved_microusd)} saved by {completed} completed cases"
    unknown = f", {_usd(unanswered)} of it without an answer" if unanswered else ""
    return f"{saved}; models cost {_usd(report.cost_microusd)}{unknown}"


def _usd(microusd: int) -> str:
    return f"${microusd / MICROUSD:.2f}"


def _told(told: Told) -> dict[str, str]:
    return {
        "route": told.route,
        "about": told.event_class,
        "messages": str(told.messages),
        "events": str(told.events),
        "not_sent": str(told.failed),
    }


def _order(order: Order, zone: tzinfo) -> dict[str, str]:
    return {
        "at": f"{order.time.astimezone(zone):%a %H:%M:%S}",
        "order": order.order,
        "agent": order.agent,
        "by": order.issued_by,
        "why": order.reason,
    }


def document(report: NightReport) -> dict[str, Any]:
    """The JSON contract, with times in UTC."""
    return {
        "since": report.since.astimezone(UTC),
        "until": report.until.astimezone(UTC),
        "events": report.events,
        "lost": report.lost,
        "ended": {status: report.ended.get(status, 0) for status in (*ALWAYS_SHOWN, *_others(report))},
        "longest_waits": [
            {
                "status": status,
                "seconds": round(wait.length(report.until).total_seconds(), 3),
                "subject": wait.event.subject,
                "event_id": wait.event.id,
                "began_at": wait.began_at,
                "ended_at": wait.ended_at,
                "reason": wait.reason,
            }
            for status, wait in sorted(report.longest_waits.items())
        ],
        "reasons": [
            {"status": status, **counted._asdict()} for status, reasons in report.reasons.items() for counted in reasons
        ],
        "agents": [{**agent._asdict(), "cost_usd": agent.cost_microusd / MICROUSD} for agent in report.agents],
        "model_calls": report.model_calls,
        "cost_microusd": report.cost_microusd,
        **report.impact._asdict(),
        "told": [told._asdict() for told in report.told],
        "orders": [order._asdict() for order in report.orders],
    }


def _others(report: NightReport) -> list[str]:
    return sorted(report.ended.keys() - {*ALWAYS_SHOWN})


def _duration(length: timedelta) -> str:
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _name(zone: tzinfo) -> str:
    return "UTC" if str(zone) in NAMES_OF_UTC else str(zone)


def _time(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}"
