"""`nightdesk migrate`: run once per installation and version, before the sink starts."""

from __future__ import annotations

from typing import Annotated

import typer

from nightdesk.clickhouse import clickhouse
from nightdesk.exits import Failure
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.settings import ClickHouseSettings, load_settings
from sinks.clickhouse import migrate as migrations


def migrate(
    output: OutputOption = Output.text,
    replicated: Annotated[bool, typer.Option(help="Make tables of the Replicated engines (a cluster)")] = False,
) -> None:
    """Create or change ClickHouse's tables and views as this version needs them. Safe to run again."""
    applied = migrate_database(load_settings().clickhouse, "replicated" if replicated else "single")
    print_rows([{"migration": name} for name in applied], output)
    if not applied and output is Output.text:
        print("ClickHouse is up to date")


def migrate_database(settings: ClickHouseSettings, engines: migrations.Engines = "single") -> list[str]:
    """Names of the migrations that were applied. Raises `Failure`."""
    with clickhouse(settings, bound=False) as client:
        migrations.create_database(client, settings.client_arguments()["database"])
    with clickhouse(settings) as client:
        try:
            return [migration.name for migration in migrations.migrate(client, engines)]
        except migrations.MigrationChanged as error:
            raise Failure(str(error)) from error
