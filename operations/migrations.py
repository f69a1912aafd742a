"""Brings ClickHouse's tables and views to this version."""

from __future__ import annotations

from nightdesk.messaging.failures import Failure
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.sinks.clickhouse import migrate as migrations
from nightdesk.sinks.clickhouse import retention
from nightdesk.sinks.settings import ClickHouseSettings


def migrate_database(settings: ClickHouseSettings, engines: migrations.Engines = "single") -> list[str]:
    """Migrate. Returns the names of the applied migrations and of the changed views. Raises `Failure`."""
    with clickhouse(settings, "migrate", bound=False) as client:
        migrations.create_database(client, settings.database)
    with clickhouse(settings, "migrate") as client:
        try:
            applied = migrations.migrate(client, engines)
        except migrations.MigrationChanged as error:
            raise Failure(str(error)) from error
        limits = retention.changes(client, settings.retention)
        for statement in (one for statements in limits.values() for one in statements):
            client.command(statement)
    return [*applied, *(f"retention of {table}" for table in limits)]
