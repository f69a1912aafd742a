"""`nightdesk status`: the endpoints, the state of each stage and worker, and the lag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from nightdesk.commands import dlq_text, why_text
from nightdesk.commands.stop import held_back_rows
from nightdesk.messaging.settings import without_login
from nightdesk.operations.halted_decisions import held_back_text
from nightdesk.operations.status import SET_ASIDE, TO_LOOK_AT, Status, read_status
from nightdesk.operations.workers import Worker
from nightdesk.output import Output, OutputOption, print_json, print_line, print_lines, print_rows
from nightdesk.settings import Settings, load_settings
from nightdesk.sinks.story import Halt


def status(
    output: OutputOption = Output.text,
    wait: Annotated[float, typer.Option(help="seconds to wait until every stage runs without lag")] = 0.0,
) -> None:
    """Show the endpoints, the workers and the lag of each stage. With --wait the exit code is 5 if it takes longer; it
    is 7 until a person acknowledges lost records.
    """
    settings = load_settings()
    found = read_status(settings, wait)
    if output is Output.json:
        print_json(_document(settings, found))
    else:
        _print(settings, found)
    if wait:
        found.check_done(wait)
    found.check_nothing_lost()


def _document(settings: Settings, found: Status) -> dict[str, Any]:
    document: dict[str, Any] = {
        "kafka": {"bootstrap_servers": settings.kafka.bootstrap_servers, "topic_prefix": settings.kafka.topic_prefix},
        "schema_registry": {"url": without_login(settings.schema_registry.url)},
        "clickhouse": {"url": settings.clickhouse.public_url},
        "stages": _stages(found),
        "takes_events": found.takes_events,
        "halted": None if found.halts is None else [_halt(halt) for halt in found.halts],
        "held_back": None if found.held_back is None else held_back_rows(found.held_back),
        "waiting": None if found.waiting is None else [asdict(each) for each in found.waiting],
        "away": None if found.away is None else [asdict(each) for each in found.away],
        "routes": None if found.routes is None else [asdict(each) for each in found.routes],
    }
    for kind in SET_ASIDE:
        rows = [dlq_text.row(letter) for letter in found.set_aside(kind)]
        document[kind] = None if found.letters is None else rows
    document["open_transactions"] = [transaction._asdict() for transaction in found.transactions]
    document["workers"] = None if found.workers is None else [_worker(worker) for worker in found.workers]
    document["last_day"] = found.last_day
    return document


def _stages(found: Status) -> dict[str, dict[str, Any]]:
    return {
        name: {**asdict(stage), "dead_letters": found.letters_of_stage(name)} for name, stage in found.stages.items()
    }


def _halt(halt: Halt) -> dict[str, Any]:
    return {
        "agent": halt.agent,
        "kind": halt.order,
        "issued_by": halt.issued_by,
        "reason": halt.reason,
        "time": halt.since,
    }


def _worker(worker: Worker) -> dict[str, Any]:
    report = worker.report
    return {
        "worker": worker.name,
        "host": report.host,
        "pid": report.pid,
        "state": _state(worker),
        "since": report.started_at,
        "last_report": worker.last_at,
        "clock_offset_ms": report.clock_offset_ms,
        "recovery_remaining": report.recovery_remaining,
        "program_version": report.program_version,
        "unreadable_charters": [charter.model_dump() for charter in report.unreadable_charters],
    }


def _state(worker: Worker) -> str:
    if worker.unreadable:
        return "unreadable"
    return "silent" if worker.is_silent else worker.report.state


def _print(settings: Settings, found: Status) -> None:
    print_line(f"kafka            {settings.kafka.bootstrap_servers}")
    print_line(f"schema registry  {without_login(settings.schema_registry.url)}")
    print_line(f"clickhouse       {settings.clickhouse.public_url}")
    print_line()
    for line in _troubles(found):
        print_lines((line, ""))
    print_rows([{"stage": name, **stage} for name, stage in _stages(found).items()], Output.text)
    if found.workers:
        print_line()
        print_rows([_worker_row(worker) for worker in found.workers], Output.text)
    if found.last_day is None:
        print_lines(("", "failed cases cannot be counted: ClickHouse does not answer, see `nightdesk doctor`"))
    elif any(found.last_day.values()):
        counts = ", ".join(f"{count} {name}" for name, count in found.last_day.items())
        print_lines(("", f"in the last day {counts}: see `nightdesk cases list --status {','.join(TO_LOOK_AT)}`"))


def _troubles(found: Status) -> Iterator[str]:
    for what, values in _parts(found):
        if values is None:
            yield f"{what} cannot be read: see `nightdesk doctor`"
    if found.takes_events is False:
        yield "no charter is promoted, so every event is ignored: `nightdesk charter apply FOLDER --promote`"
    for halt in found.halts or ():
        yield why_text.halted(halt)
    if found.held_back:
        yield held_back_text(found.held_back)
    yield from _worker_troubles(found)
    yield from _outside_troubles(found)
    for waiting in found.waiting or ():
        yield why_text.clean(str(waiting))
    for kind in SET_ASIDE:
        for letter in found.set_aside(kind):
            about = letter.about
            yield (
                f"{kind}: {about.topic}/{about.partition}, {about.time:%Y-%m-%d %H:%M:%S} UTC: {about.message}"
                f" (dead letter {about.dead_letter_id[:13]})"
            )
    for transaction in found.transactions:
        yield str(transaction)


def _parts(found: Status) -> Iterator[tuple[str, object]]:
    """What is said of each part of the status that cannot be read, so that nothing looks like all is well."""
    yield "orders", found.halts
    yield "workers' reports", found.workers
    yield "decisions that are held back", found.held_back
    yield "waiting steps", found.waiting
    yield "dead letters", found.letters
    yield "systems that are away", found.away
    yield "routes of notifications", found.routes


def _outside_troubles(found: Status) -> Iterator[str]:
    for away in found.away or ():
        yield why_text.clean(str(away))
    for route in found.routes or ():
        if route.failing_since:
            yield why_text.clean(f"{route}. See `nightdesk notify list`")


def _worker_troubles(found: Status) -> Iterator[str]:
    for worker in found.workers or ():
        if worker.unreadable:
            yield why_text.clean(
                f"the last report of {worker.name} on `workers` cannot be read: {worker.unreadable}. A newer program"
                " may have written it: use that one. A record that is no worker's is deleted after a day"
            )
        if worker.report.state == "not_ready" and not worker.is_silent and worker.report.recovery_remaining:
            yield f"{worker.name} reads its tables: {worker.report.recovery_remaining} records are left"
    for worker, charter in found.unreadable_charters():
        instead = f"goes on with {charter.instead}" if charter.instead else "takes no event of that agent"
        yield why_text.clean(
            f"{worker.name} cannot read charter {charter.version} of {charter.agent} and {instead}: upgrade it, or"
            f" `nightdesk charter rollback {charter.agent}` ({charter.reason})"
        )


def _worker_row(worker: Worker) -> dict[str, Any]:
    """Times are to the second, and without a date that is today, because a line has 80 columns."""
    row = _worker(worker)
    for key in ("recovery_remaining", "program_version", "unreadable_charters"):
        del row[key]
    return {**row, "since": f"{row['since']:%m-%d %H:%M}", "last_report": f"{row['last_report']:%H:%M:%S}"}
