"""A database with many cases, for the tests of what questions and dashboards read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from benchmarks.audit_rows import age_hours, asked_of, generate
from nightdesk.sinks.audit.hours import count_hours
from nightdesk.sinks.clickhouse.connection import connect
from nightdesk.sinks.clickhouse.migrate import create_database, migrate
from nightdesk.sinks.questions import Asked
from nightdesk.sinks.settings import ClickHouseSettings

# Enough for some tens of granules in each large table; a day is a sixtieth of the span.
CASES = 200_000
END = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
SPAN_S = 60 * 86_400
LARGE = ("audit_records", "case_states", "case_lines", "decision_facts", "step_facts")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The client of the database, the parameters for one case, and the rows of the smallest large table."""

    client: Client
    asked: Asked
    size: int


def load(clickhouse: ClickHouseSettings) -> Loaded:
    """Generate the cases, and count the hours, as a sink does in time."""
    arguments = clickhouse.client_arguments("migrate")
    with connect(arguments) as client:
        create_database(client, "loaded")
    client = connect({**arguments, "database": "loaded", "send_receive_timeout": 600})
    migrate(client)
    generate(client, CASES, END, SPAN_S, asked_every=20)
    age_hours(client)
    while count_hours(client, at_most=100):
        pass
    sizes = [int(client.query(f"SELECT count() FROM {table}").result_rows[0][0]) for table in LARGE]
    return Loaded(client, asked_of(client, CASES, END), min(sizes))
