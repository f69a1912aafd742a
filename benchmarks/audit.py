"""`python -m benchmarks.audit`, which `make bench-audit` calls: the audit store with a given number of cases.

It generates the cases in a ClickHouse of its own. Then it measures the bytes of a decision, how fast the sink's insert
is against a bare insert of the same rows, and every question that commands and dashboards ask.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import psutil
import typer
from clickhouse_connect.driver.client import Client

from benchmarks.audit_rows import age_hours, asked_of, audit_records, generate
from benchmarks.pipeline import tell
from nightdesk.local.clickhouse import clickhouse_endpoint, clickhouse_part
from nightdesk.local.ports import claim_port
from nightdesk.local.progress import Silent
from nightdesk.local.secrets import LocalSecrets
from nightdesk.local.supervisor import Supervisor
from nightdesk.sinks.audit.hours import count_hours
from nightdesk.sinks.audit.table import COLUMNS, AuditTable, InsertSlice
from nightdesk.sinks.clickhouse import retention
from nightdesk.sinks.clickhouse.connection import connect
from nightdesk.sinks.clickhouse.migrate import migrate
from nightdesk.sinks.clickhouse.roll_ups import ROLL_UPS
from nightdesk.sinks.questions import QUESTIONS, Asked, Question
from nightdesk.sinks.settings import ClickHouseSettings

END = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
SPAN_S = 60 * 86_400
ROWS_OF_AN_INSERT = 10_000
INSERTS = 5

TABLES = (*retention.NAMES, "hour_states", *(one.table for one in ROLL_UPS))
HOURS_AT_ONCE = 100
BYTES = """
SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts
WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """One question asked several times: its median and 95th percentile, and what ClickHouse read for it once."""

    question: Question
    p50_ms: float
    p95_ms: float
    read_rows: int
    read_bytes: int


@dataclass(frozen=True, slots=True)
class Took:
    """The time of some work by the clock, and the CPU time of this process and of ClickHouse."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: Took) -> Took:
        return Took(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


def main(
    cases: Annotated[int, typer.Option(min=1000, help="cases to generate, nine of ten with a decision")] = 1_000_000,
    times: Annotated[int, typer.Option(min=2, help="how often each question is asked")] = 11,
) -> None:
    """Measure the audit store: bytes, landing, questions."""
    with tempfile.TemporaryDirectory(prefix="nightdesk-benchmark-audit-") as home, _clickhouse(Path(home)) as client:
        migrate(client)
        ratio = _landing_ratio(client, min(ROWS_OF_AN_INSERT, cases))
        generate(client, cases, END, SPAN_S, tell)
        _count_hours(client)
        decisions = _show_bytes(client)
        asked = asked_of(client, cases, END)
        timed = [_ask(client, question, asked, times) for question in QUESTIONS]
    _show_questions(timed)
    worst = max(one.p95_ms for one in timed)
    print(f"audit: landing ratio {ratio:.2f}, worst p95 {worst:.0f} ms at {decisions} decisions")


@contextmanager
def _clickhouse(home: Path) -> Iterator[Client]:
    """The engine of the local stack alone, and a client of its database."""
    port, secrets = claim_port(0, ""), LocalSecrets.of(home)
    with Supervisor(home / "logs", dict(os.environ), Silent()) as supervisor:
        settings = ClickHouseSettings.model_validate(clickhouse_endpoint(port, secrets))
        supervisor.start(clickhouse_part(home, port, settings.accounts()))
        with connect(settings.client_arguments("migrate") | {"send_receive_timeout": 3600}) as client:
            yield client


def _landing_ratio(client: Client, count: int) -> float:
    """Rows per second of the sink's insert, facts and all, to those of a bare insert into the table without views.

    The two take turns, so that a change of the machine's load meets both. CPU seconds say more where others use the
    machine.
    """
    client.command("CREATE TABLE bare AS audit_records")
    table, ours, bare_insert = AuditTable(lambda: client), Took(), Took()
    for number in range(INSERTS):
        records = audit_records(count, number, END - timedelta(days=1))
        rows = InsertSlice("nightdesk.audit", 0, records, range(number * count, (number + 1) * count))
        bare = [list(row) for row in rows.rows()]
        ours += _took(lambda rows=rows: table.insert([rows]))  # type: ignore[misc]
        bare_insert += _took(lambda bare=bare: client.insert("bare", bare, list(COLUMNS)))  # type: ignore[misc]
    client.command("DROP TABLE bare")
    for name in TABLES:
        client.command(f"TRUNCATE TABLE {name}")
    for name, took in (("landing", ours), ("bare insert of the same rows", bare_insert)):
        cpu_ms = 1e6 * took.cpu_s / (INSERTS * count)
        print(f"{name}: {INSERTS * count / took.wall_s:,.0f} rows/s, {cpu_ms:.1f} ms of CPU for 1,000 rows")
    return bare_insert.wall_s / ours.wall_s


def _count_hours(client: Client) -> None:
    """As the sink does it when an hour has been quiet for a minute."""
    age_hours(client)
    begin, hours = time.perf_counter(), 0
    while counted := count_hours(client, HOURS_AT_ONCE):
        hours += counted
        tell(f"  {hours:,} hours counted")
    print(f"roll-ups: {hours:,} hours counted in {time.perf_counter() - begin:.1f} s")


def _took(work: Callable[[], object]) -> Took:
    start = Took(time.perf_counter(), _cpu_s())
    work()
    return Took(time.perf_counter() - start.wall_s, _cpu_s() - start.cpu_s)


def _cpu_s() -> float:
    """Of this process and of ClickHouse."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(times.user + times.system for times in (one.cpu_times() for one in processes))


def _show_bytes(client: Client) -> int:
    """Print the size of each table, and give the number of decisions."""
    (decisions,) = client.query("SELECT count() FROM decisions").result_rows[0]
    found = client.query(BYTES).result_rows
    print(f"{'table':<18}{'rows':>14}{'bytes':>16}{'bytes/decision':>16}")
    for name, rows, size in [*found, ("all", sum(row[1] for row in found), sum(row[2] for row in found))]:
        print(f"{name:<18}{rows:>14,}{size:>16,}{size / decisions:>16.1f}")
    return int(decisions)


def _ask(client: Client, question: Question, asked: Asked, times: int) -> Timed:
    tell(f"  {question.name}")
    parameters = dict(question.parameters(asked))
    took_ms: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        summary = client.query(question.sql, parameters=parameters).summary
        took_ms.append((time.perf_counter() - start) * 1000)
    p95_ms = statistics.quantiles(took_ms, n=20)[-1]
    read = int(summary["read_rows"]), int(summary["read_bytes"])
    return Timed(question, statistics.median(took_ms), min(p95_ms, max(took_ms)), *read)


def _show_questions(timed: list[Timed]) -> None:
    print(f"{'question':<30}{'asked by':<20}{'p50 ms':>8}{'p95 ms':>8}{'rows read':>14}{'bytes read':>16}")
    for one in timed:
        about = f"{one.question.name:<30}{one.question.asker:<20}{one.p50_ms:>8.0f}{one.p95_ms:>8.0f}"
        print(f"{about}{one.read_rows:>14,}{one.read_bytes:>16,}")


if __name__ == "__main__":
    typer.run(main)
