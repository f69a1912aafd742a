"""`nightdesk stop verify [AGENT]`, and what `stop-all --wait` and `pause --wait` do after their order.

JSON contract: docs/reference/commands.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from nightdesk.operations.halted_decisions import HaltedDecisions, held_back_text
from nightdesk.operations.orders import EVERY_AGENT
from nightdesk.operations.stop_checks import StopCheck, unconfirmed_text, verify_stop, wait_for_stop
from nightdesk.operations.stops import Obedience, WorkerStop
from nightdesk.output import Output, OutputOption, print_json, print_line, print_lines, print_rows
from nightdesk.settings import Settings, load_settings
from nightdesk.sinks.late_calls import LateCall

Timeout = Annotated[float, typer.Option(help="seconds to wait for the workers", min=0)]

app = typer.Typer(help="Verify that an order to stop is followed.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Verify that an order to stop is followed."""


@app.command()
def verify(
    agent: Annotated[str, typer.Argument(help="the stopped agent", metavar="[AGENT]")] = EVERY_AGENT,
    output: OutputOption = Output.text,
    timeout: Timeout = 30.0,
) -> None:
    """Verify that the order to stop in force is followed, with each worker's report and with the audit.

    Exit code 8 if a call started after the order's bound, 5 if a worker has not confirmed, 3 if no order is in force.
    """
    settings = load_settings()
    found = verify_stop(settings, agent, settings.worker.orders_confirmed_within_s, timeout)
    report(found, output)
    found.check()


def after_the_order(settings: Settings, agent: str, timeout_s: float, output: Output) -> None:
    """What `--wait` does after the order. Raises `Failure` (5) if a worker has not confirmed in time."""
    found = wait_for_stop(settings, agent, settings.worker.orders_confirmed_within_s, timeout_s)
    report(found, output)
    found.check()


def report(check: StopCheck, output: Output) -> None:
    """Print the state of an order."""
    found, late = check.obedience, check.late
    if output is Output.json:
        print_json({**_document(found, late), "held_back": held_back_rows(check.held_back)})
        return
    order = found.stop.order
    whom = "every agent" if order.agent == EVERY_AGENT else order.agent
    print_line(
        f"{order.kind}: {whom}, with the broker since {_time(found.stop.at)}, offset {found.stop.offset} of control"
    )
    print_lines((f"no worker starts a call after {_time(found.no_call_after)}", ""))
    if not found.workers:
        print_line("no worker of decide or act is running")
    print_rows(list(_worker_rows(found)), output)
    print_lines(("", held_back_text(check.held_back)))
    calls = [row for each in found.workers for row in _call_rows(each)]
    if calls:
        print_lines(("", "running when the order was read"))
        print_rows(calls, output)
    if late:
        print_lines(("", "started after the order"))
        print_rows([step._asdict() for step in late], output)


def held_back_rows(found: Sequence[HaltedDecisions]) -> list[dict[str, Any]]:
    """The decisions that wait for the end of an order, as JSON values."""
    return [asdict(each) for each in found]


def _document(found: Obedience, late: Sequence[LateCall] | None) -> dict[str, Any]:
    order = found.stop.order
    return {
        "order": {
            "agent": order.agent,
            "kind": order.kind,
            "issued_by": order.issued_by,
            "reason": order.reason,
            "offset": found.stop.offset,
            "at": found.stop.at,
        },
        "no_call_after": found.no_call_after,
        "confirmed": not found.unconfirmed,
        "workers": [
            {
                "worker": each.worker.name,
                "status": each.status,
                "doubt": each.doubt,
                "last_report": each.worker.last_at,
                "obeyed_at": each.obeyed.obeyed_at if each.obeyed else None,
                "positions": [place.model_dump() for place in each.positions],
                "calls": [call.model_dump() for call in each.calls],
                "calls_omitted": each.obeyed.calls_omitted if each.obeyed else 0,
            }
            for each in found.workers
        ],
        "late": None if late is None else [step._asdict() for step in late],
    }


def _worker_rows(found: Obedience) -> Iterator[dict[str, Any]]:
    for each in found.workers:
        row = {
            "worker": each.worker.name,
            "status": each.status,
            "topic": "",
            "partition": "",
            "no action from": "",
        }
        if not each.positions:
            yield row | {"status": unconfirmed_text(each) if each.status in ("waiting", "silent") else each.status}
        for place in each.positions:
            yield row | {"topic": place.topic, "partition": place.partition, "no action from": place.offset}


def _call_rows(found: WorkerStop) -> Iterator[dict[str, Any]]:
    for call in found.calls:
        yield {"call": call.call_id, "agent": call.agent, "became": call.fate, "worker": found.worker.name}
    if found.obeyed and found.obeyed.calls_omitted:
        yield {"call": f"and {found.obeyed.calls_omitted} more", "agent": "", "became": "", "worker": found.worker.name}


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
