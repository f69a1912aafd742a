"""Keeps a database's views equal to this version's files in `views/`.

The file of a view has its whole definition. A view that reads a roll-up has no file: it has the columns of the view
that counts the roll-up (`roll_ups.py`). `VIEWS` lists all, each after the views that it reads. Unlike a table, a view
has no data, so it needs no history: `update` replaces a view whose digest differs and drops a view that has no file any
more. The digest is in the view's own comment, so it cannot differ from what the database has. A view that somebody else
created has no such comment and is left alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from nightdesk.sinks.clickhouse.quoting import literal, quoted
from nightdesk.sinks.clickhouse.roll_ups import ROLL_UPS
from nightdesk.sinks.clickhouse.topology import ONE_SERVER, Topology

if TYPE_CHECKING:  # the settings know the views by name, and every worker reads the settings
    from clickhouse_connect.driver.client import Client

# One line for each view. It comes after those that it reads.
VIEWS = (
    "records",
    "cases",
    "decisions",
    "steps",
    "model_calls",
    "dead_letters",
    "costs_by_day",
    "impact",
    "ends",
    "follow_ups",
    "budget_entries",
    "open_hours",
    "hourly_recount",
    "hourly",
    "hourly_decisions_recount",
    "hourly_decisions",
    "hourly_steps_recount",
    "hourly_steps",
)

_DIGEST = re.compile(r"\[nightdesk ([0-9a-f]{64})\]$")
_COLUMN = re.compile(r"^    `(\w+)`", re.MULTILINE)
NARROWER = "/* narrower */"
_QUERY = re.compile(r"^AS ", re.MULTILINE)
# Whoever may read a view needs no right on its tables, whatever the server's defaults are (`access.py`).
_SECURITY = "DEFINER = CURRENT_USER SQL SECURITY DEFINER"
# On the servers of a cluster a statement has no user.
CURRENT_USER = "SELECT currentUser()"
OURS = "SELECT name, comment FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"


@dataclass(frozen=True, slots=True)
class View:
    """The text of `views/<name>.sql`: comment lines that say what a row is, then one `CREATE OR REPLACE VIEW`."""

    name: str
    text: str

    @property
    def description(self) -> str:
        """The first paragraph of the comment at the top of the file, on one line."""
        top = self.text.partition("CREATE ")[0]
        paragraph = re.split(r"^--$", top, flags=re.MULTILINE)[0]
        return " ".join(line.removeprefix("--").strip() for line in paragraph.splitlines())

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, in order."""
        return tuple(_COLUMN.findall(_QUERY.split(self.text, maxsplit=1)[0]))

    @property
    def column_definitions(self) -> str:
        """The lines that define its columns."""
        return self.text.partition("\n(\n")[2].partition("\n)\n")[0]

    @property
    def definition(self) -> str:
        """The SQL that creates the view."""
        return _QUERY.sub(f"{_SECURITY}\nAS ", self.text.rstrip().removesuffix(";"), count=1)

    def narrowed(self, where: str) -> str:
        """Its query, of those rows of its tables that satisfy `where`, if the file has a place for that: ClickHouse
        cannot push a condition into a view that groups rows.
        """
        return _QUERY.split(self.text.rstrip().removesuffix(";"), maxsplit=1)[1].replace(NARROWER, f"AND ({where})")

    def statement(self, digest: str) -> str:
        """The SQL that creates the view and records `digest` with it."""
        comment = f"{self.description} [nightdesk {digest}]"
        return f"{self.definition}\nCOMMENT {literal(comment)}"


def views() -> list[View]:
    """All views, in the order in which they are applied."""
    return [view(name) for name in VIEWS]


def view(name: str) -> View:
    """The view of that name."""
    for one in ROLL_UPS:
        if one.view == name:
            counting = view(one.recount)
            columns = counting.column_definitions
            return View(name, one.reading(counting.description, columns, ", ".join(counting.columns)))
    folder = files("nightdesk.sinks.clickhouse").joinpath("views")
    return View(name, folder.joinpath(f"{name}.sql").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Changes:
    """How a database differs from the files: views to apply, each with its digest, and names of views to drop."""

    apply: list[tuple[View, str]]
    drop: list[str]

    @property
    def names(self) -> list[str]:
        return [*(view.name for view, _ in self.apply), *self.drop]


def changes(client: Client, tables: str, wanted: Sequence[View] | None = None) -> Changes:
    """Compare the database's views with `wanted`, by default this version's files.

    `tables` is a digest of the tables under the views. ClickHouse keeps the columns of a view as they were at its
    creation, so a view is also applied again if a table or a view before it changed.
    """
    applied = _applied(client)
    different, digest = [], tables
    for view in views() if wanted is None else wanted:
        digest = hashlib.sha256(f"{digest}\n{view.definition}".encode()).hexdigest()
        if applied.pop(view.name, None) != digest:
            different.append((view, digest))
    return Changes(apply=different, drop=sorted(applied))


def update(client: Client, found: Changes, topology: Topology = ONE_SERVER) -> None:
    """Apply what differs and drop views without a file. Can be interrupted anywhere and run again."""
    statements = [view.statement(digest) for view, digest in found.apply]
    if topology.cluster:
        definer = quoted(str(client.query(CURRENT_USER).result_rows[0][0]))
        statements = [one.replace(_SECURITY, _SECURITY.replace("CURRENT_USER", definer), 1) for one in statements]
    for statement in [*statements, *(f"DROP VIEW IF EXISTS `{name}`" for name in found.drop)]:
        client.command(topology.statement(statement))


def _applied(client: Client) -> dict[str, str]:
    """The digest of each of our views in the database."""
    rows = client.query(OURS).result_rows
    return {name: digest[1] for name, comment in rows if (digest := _DIGEST.search(comment))}
