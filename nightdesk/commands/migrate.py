"""`nightdesk migrate`: run once per installation and version, before the sink starts."""

from __future__ import annotations

from typing import Annotated

import typer

from nightdesk.operations.migrations import migrate_database
from nightdesk.output import Output, OutputOption, print_line, print_rows
from nightdesk.settings import load_settings


def migrate(
    output: OutputOption = Output.text,
    replicated: Annotated[bool, typer.Option(help="Create tables with the Replicated engines (for a cluster)")] = False,
) -> None:
    """Create or change ClickHouse's tables and views for this version. Can be repeated."""
    applied = migrate_database(load_settings().clickhouse, "replicated" if replicated else "single")
    print_rows([{"applied": name} for name in applied], output)
    if not applied and output is Output.text:
        print_line("ClickHouse is up to date")
