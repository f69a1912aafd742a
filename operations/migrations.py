"""Brings ClickHouse's tables and views to this version."""

from __future__ import annotations

from nightdesk.messaging.failures import Failure
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.sinks.clickhouse import migrate as migrations
from nightdesk.sinks.clickhouse import retention
from nightdesk.sinks.settings import ClickHouseSettings

OTHER_TOPOLOGY = (
    "Correct NIGHTDESK_CLICKHOUSE__REPLICATED; to change it, let the sink fill an empty database "
    "(docs/how-to/deploy.md, A cluster of ClickHouse)"
)


def migrate_database(settings: ClickHouseSettings) -> list[str]:
    """Migrate. Returns the names of the applied migrations and of the changed views. Raises `Failure`."""
    with clickhouse(settings, "migrate", bound=False) as client:
        migrations.create_database(client, settings.database, settings.topology)
    with clickhouse(settings, "migrate") as client:
        try:
            applied = migrations.migrate(client, settings.topology)
        except migrations.MigrationChanged as error:
            raise Failure(str(error)) from error
        except migrations.OtherTopology as error:
            raise Failure(f"the tables of {settings.database} have the engine {error}", OTHER_TOPOLOGY) from error
        limits = retention.changes(client, settings.retention, settings.topology)
        for statement in (one for statements in limits.values() for one in statements):
            client.command(statement)
    return [*applied, *(f"retention of {table}" for table in limits)]
