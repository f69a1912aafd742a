"""`nightdesk migrate`: run once per installation and version, before the sink starts."""

from __future__ import annotations

from typing import Annotated

import typer

from nightdesk.operations.migrations import migrate_database
from nightdesk.output import Output, OutputOption, print_line, print_rows
from nightdesk.settings import load_settings


def migrate(
    output: OutputOption = Output.text,
    replicated: Annotated[
        bool, typer.Option(help="Create replicated tables, as NIGHTDESK_CLICKHOUSE__REPLICATED does")
    ] = False,
) -> None:
    """Create or change ClickHouse's tables and views for this version. Can be repeated."""
    settings = load_settings().clickhouse
    applied = migrate_database(settings.model_copy(update={"replicated": settings.replicated or replicated}))
    print_rows([{"applied": name} for name in applied], output)
    if not applied and output is Output.text:
        print_line("ClickHouse is up to date")
