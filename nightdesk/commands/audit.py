"""`nightdesk audit`: whether ClickHouse has the audit as it was written, and backups of it. JSON contracts:
docs/reference/commands.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from nightdesk.messaging.failures import Failure
from nightdesk.operations.audit_backup import back_up
from nightdesk.operations.audit_restore import restore as restore_backup
from nightdesk.operations.audit_verification import AuditVerification, PartitionVerification, verify_audit
from nightdesk.output import Output, OutputOption, print_json, print_line, print_rows
from nightdesk.progress import long_work
from nightdesk.schemas.money import money
from nightdesk.settings import load_settings
from nightdesk.sinks.clickhouse.backup_places import SinkPlace
from nightdesk.sinks.verification.findings import Finding

app = typer.Typer(help="Verify the audit in ClickHouse, back it up, restore it.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Verify the audit in ClickHouse, back it up, restore it."""


@app.command()
def verify(output: OutputOption = Output.text) -> None:
    """Compare each row with the hash chains and with the topic, and the facts that views read with the rows; exit code
    1 if one was changed, removed or added.
    """
    with long_work() as progress:
        found = verify_audit(load_settings(), progress)
    if output is Output.json:
        print_json(_document(found))
    else:
        _print(found)
    if differences := len(found.findings) + len(found.facts):
        raise Failure(
            f"{differences} differences between ClickHouse and what the sink wrote",
            "docs/how-to/verify.md says what each of them means",
        )


@app.command()
def backup(
    name: Annotated[str, typer.Argument(help="its name; by default the time, as audit-20261130T060000Z")] = "",
    base: Annotated[str, typer.Option(help="an older backup: only what that lacks is written")] = "",
    output: OutputOption = Output.text,
) -> None:
    """Back up the audit in ClickHouse, to NIGHTDESK_CLICKHOUSE__BACKUP_TO, while the sink goes on."""
    with long_work() as begin:
        made = back_up(load_settings(), begin, name, base)
    if output is Output.json:
        print_json({"name": made.name, "size_bytes": made.size_bytes, "places": _places(made.places)})
        return
    print_line(f"{made.name} is written: {made.size_bytes} bytes")
    print_line(f"A sink that is restored from it goes on at {_offsets(made.places)}")


@app.command()
def restore(
    name: Annotated[str, typer.Argument(help="the name of a backup")],
    from_database: Annotated[str, typer.Option(help="the database that was backed up, if it had another name")] = "",
    output: OutputOption = Output.text,
) -> None:
    """Restore a backup into an empty database, and let the sink go on where the backup began. Stop the sink first."""
    with long_work() as begin:
        done = restore_backup(load_settings(), name, begin, from_database)
    if output is Output.json:
        places = _places(done.places)
        print_json({**asdict(done), "places": places, "lost": {str(key): value for key, value in done.lost.items()}})
        return
    print_line(f"{done.name} is restored: {done.size_bytes} bytes. Changed by migrate: {', '.join(done.migrated)}")
    if done.forgotten_again:
        print_line(f"{done.forgotten_again} subjects were forgotten after it was made, and are deleted again")
    for partition, records in done.lost.items():
        print_line(f"partition {partition}: the topic has deleted {records} offsets that are not in the backup")
    print_line(f"Start the sink: it goes on at {_offsets(done.places)}. Then run `nightdesk audit verify`")


def _places(places: Sequence[SinkPlace]) -> list[dict[str, Any]]:
    return [{"partition": one.partition, "offset": one.offset} for one in places]


def _offsets(places: Sequence[SinkPlace]) -> str:
    return ", ".join(f"{one.partition}:{one.offset}" for one in places)


def _print(found: AuditVerification) -> None:
    print_rows([_partition(one) for one in found.partitions], Output.text)
    print_line()
    if found.findings:
        print_rows([_finding(one) for one in found.findings], Output.text)
    else:
        print_line(f"all {found.rows} rows are as they were written")
    print_line()
    if found.facts:
        print_rows([one._asdict() for one in found.facts], Output.text)
    else:
        print_line("the facts that views read are what the rows say")


def _partition(one: PartitionVerification) -> dict[str, Any]:
    return {
        "partition": one.partition,
        "topic_from": one.first,
        "records": one.topic.records,
        "rows": one.clickhouse.records,
        "cost": money(one.topic.cost_microusd),
        "cost_of_rows": money(one.clickhouse.cost_microusd),
        "chain_from": "" if one.chain_from is None else one.chain_from,
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "fault": one.fault,
        "partition": one.place.partition,
        "offset": one.place.offset,
        "record_id": one.record_id,
        "how": one.how,
    }


def _document(found: AuditVerification) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "partitions": [
            {
                "partition": one.partition,
                "topic_from": one.first,
                "committed": one.end,
                "chain_from": one.chain_from,
                "topic": one.topic._asdict(),
                "clickhouse": one.clickhouse._asdict(),
            }
            for one in found.partitions
        ],
        "findings": [{**_finding(one), "incarnation": one.place.incarnation} for one in found.findings],
        "facts": [one._asdict() for one in found.facts],
    }
