"""`nightdesk events reoffer`: offers events without a case again after a repair.

JSON contract: {dry_run, events, gone}; both are lists of {event_id, event_source, event_type, subject, agent, status,
reason, time, partition, offset}. Exit code 3 if none is found, or if some are no longer in the log.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from nightdesk.operations.reoffers import GONE, ReofferFilter, parse_untaken_statuses, reoffer_events
from nightdesk.operations.times import moment
from nightdesk.output import Output, OutputOption, print_json, print_line, print_rows
from nightdesk.settings import load_settings
from nightdesk.sinks.untaken import UNTAKEN_STATUSES, UntakenEvent

app = typer.Typer(help="Offer events again of which no case was made.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Offer events without a case again."""


@app.command()
def reoffer(
    status: Annotated[
        str, typer.Option(help=f"Only these, separated by commas: {', '.join(UNTAKEN_STATUSES)}")
    ] = "rejected,ignored",
    agent: Annotated[str, typer.Option(help="Only events that this agent did not take, and only to this agent")] = "",
    event_type: Annotated[str, typer.Option("--type", help="Only events of this type")] = "",
    since: Annotated[str, typer.Option(help="2026-11-23T08:00 (UTC), or 2h for two hours ago")] = "24h",
    reason: Annotated[str, typer.Option(help="recorded in the audit")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would happen, and change nothing")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Offer events again, unchanged and in their order, after you have repaired what kept them from becoming cases.

    `rejected` events did not fit an agent's schema or its `when` failed, `ignored` ones fit no charter, and a limit
    `refused` the others. An agent that took an event does not take it again.
    """
    now = datetime.now(UTC)
    chosen = ReofferFilter(moment(since, now) or now, parse_untaken_statuses(status), agent, event_type)
    done = reoffer_events(load_settings(), chosen, reason, now, dry_run=dry_run)
    if output is Output.json:
        events, gone = ([asdict(event) for event in events] for events in (done.events, done.gone))
        print_json({"dry_run": dry_run, "events": events, "gone": gone})
    else:
        print_rows([_line(event, "") for event in done.events] + [_line(event, GONE) for event in done.gone], output)
        print_line(f"{len(done.events)} {'would be ' if dry_run else ''}offered again, {len(done.gone)} are gone")
    done.check_none_gone()


def _line(event: UntakenEvent, gone: str) -> dict[str, str]:
    return {
        "event": event.event_id,
        "subject": event.subject,
        "agent": event.agent,
        "status": event.status,
        "reason": gone or event.reason,
        "time": event.time.strftime("%m-%d %H:%M"),
    }
