"""`nightdesk audit verify`: whether ClickHouse has the audit as it was written. JSON contract:
docs/reference/commands.md.
"""

from __future__ import annotations

from typing import Any

import typer

from nightdesk.messaging.failures import Failure
from nightdesk.operations.audit_verification import AuditVerification, PartitionVerification, verify_audit
from nightdesk.output import Output, OutputOption, print_json, print_line, print_rows
from nightdesk.processors.prices import money
from nightdesk.progress import long_work
from nightdesk.settings import load_settings
from nightdesk.sinks.verification.findings import Finding

app = typer.Typer(help="Verify the audit in ClickHouse.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Verify the audit in ClickHouse."""


@app.command()
def verify(output: OutputOption = Output.text) -> None:
    """Compare each row with the hash chains and with the topic; exit code 1 if one was changed, removed or added."""
    with long_work() as progress:
        found = verify_audit(load_settings(), progress)
    if output is Output.json:
        print_json(_document(found))
    else:
        _print(found)
    if found.findings:
        raise Failure(
            f"{len(found.findings)} differences between ClickHouse and what the sink wrote",
            "docs/how-to/verify.md says what each of them means",
        )


def _print(found: AuditVerification) -> None:
    print_rows([_partition(one) for one in found.partitions], Output.text)
    print_line()
    if found.findings:
        print_rows([_finding(one) for one in found.findings], Output.text)
    else:
        print_line(f"all {found.rows} rows are as they were written")


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
    }
