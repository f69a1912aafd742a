"""`nightdesk users`: who may do what in ClickHouse."""

from __future__ import annotations

import typer

from nightdesk.operations.store_users import apply_users, user_statements
from nightdesk.output import Output, OutputOption, print_line, print_rows
from nightdesk.settings import load_settings

app = typer.Typer(help="Create ClickHouse's users with the rights that each needs.", no_args_is_help=True)


@app.command(name="print")
def print_statements() -> None:
    """Print the statements that create the users, for an administrator who runs them. Passwords are hashed."""
    for statement in user_statements(load_settings().clickhouse):
        print_line(f"{statement};")


@app.command()
def apply(output: OutputOption = Output.text) -> None:
    """Create the users that have a login in the settings, and make their rights equal to this version's.

    Logs in as NIGHTDESK_CLICKHOUSE__ADMIN_USERNAME, who may manage users. Can be repeated.
    """
    accounts = apply_users(load_settings().clickhouse)
    rows = [{"user": one.name, "rights_of": one.user, "agents": ", ".join(one.agents) or "all"} for one in accounts]
    print_rows(rows, output)
