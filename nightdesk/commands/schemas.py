"""`nightdesk schemas register`: run once per installation and version, before any worker starts."""

from __future__ import annotations

import typer

from nightdesk.operations.schemas import register_schemas
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.settings import load_settings

app = typer.Typer(help="Register the schemas.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Register the schemas."""


@app.command()
def register(output: OutputOption = Output.text) -> None:
    """Register every record's schema; refused if one is incompatible with a registered one. Can be repeated."""
    ids = register_schemas(load_settings())
    print_rows([{"subject": subject, "id": schema_id} for subject, schema_id in ids.items()], output)
