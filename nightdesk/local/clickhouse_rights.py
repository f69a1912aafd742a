"""What each user of the local ClickHouse may do.

A server decides by grants and row policies. The engine of the local stack has one user for everybody, so a statement is
checked before it runs, by what the engine's own parser and analyzer say of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from nightdesk.sinks.clickhouse.access import Account, Grant, StoreUser, grants_of, row_filter, views_by_agent
from nightdesk.sinks.clickhouse.quoting import literal
from nightdesk.sinks.clickhouse.statements import Ask, why_not_a_read

# What ClickHouse lets every user read, and what clients ask.
SYSTEM_TABLES = frozenset(
    f"system.{name}"
    for name in ("columns", "databases", "formats", "functions", "numbers", "one", "settings", "tables", "time_zones")
)
# Formats whose data are values only: others, such as Values, hold expressions that are evaluated.
DATA_FORMATS = frozenset({"jsoncompacteachrow", "jsoneachrow", "native", "rowbinary", "tabseparated", "csv"})

_INSERT = re.compile(
    rb"\s*INSERT\s+INTO\s+(?:TABLE\s+)?(?:`?\w+`?\.)?`?(?P<table>\w+)`?\s*(?:\([\w`,\s]*\)\s*)?(?:FORMAT\s+(?P<format>\w+)\b|(?P<query>SELECT\b.*))",
    re.IGNORECASE | re.DOTALL,
)
_TABLE = re.compile(r" *TABLE id: (\d+),.*?\btable_name: ([^,\s]+)")
_TABLE_FUNCTION = re.compile(r" *TABLE_FUNCTION id: \d+,.*?\btable_function_name: (\w+)")
_COLUMN = re.compile(r" *COLUMN id: \d+, column_name: (.+?), result_type: .*\bsource_id: (\d+)$")
# They read nothing but their own arguments, whose subqueries the tree shows.
OWN_ROWS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "generate_series", "generateseries", "null"}
)
# They show the structure of tables and no rows; a parenthesis may hold a query that reads rows.
_SHOWS_STRUCTURE = re.compile(r"EXPLAIN AST\b|(SHOW|DESCRIBE|EXISTS)\b[^(]*\Z")
# In a formatted statement a line break is in no literal and in no name.
_FORMAT = re.compile(r"\nFORMAT \w+")


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of one user."""

    account: Account

    @property
    def user(self) -> StoreUser:
        return self.account.user

    @property
    def only_reads(self) -> bool:
        """Whether it may not even ask for a setting that changes more than the answer."""
        return self.user in ("reader", "viewer")

    @property
    def row_filters(self) -> dict[str, str]:
        """The engine's settings that hide rows of other agents."""
        if not self.account.agents:
            return {}
        filters = [f"{literal(view)}: {literal(row_filter(self.account))}" for view in views_by_agent()]
        return {"additional_table_filters": f"{{{', '.join(filters)}}}"}

    def why_refused(self, text: bytes, database: str, ask: Ask) -> str | None:
        """Why the user may not run the statement; None if it may. Raises what `ask` raises."""
        if self.user == "migrate":
            return None
        insert = _INSERT.match(text) if self.user == "sink" else None
        wrong = self._why_not_inserted(insert) if insert else None
        if wrong is not None or (insert and insert["format"]):
            return wrong
        statement = (insert["query"] if insert else text).decode(errors="replace")
        wrong = why_not_a_read(statement, ask)
        return wrong if wrong is not None or self.user == "reader" else self._beyond_grants(statement, database, ask)

    def _why_not_inserted(self, insert: re.Match[bytes]) -> str | None:
        """About its table and its data; the query of an insert is checked as any other."""
        if insert["table"].decode() not in {one.table for one in grants_of(self.account) if one.right == "INSERT"}:
            return f"no right to insert into {insert['table'].decode()}"
        if insert["format"] and insert["format"].decode().lower() not in DATA_FORMATS:
            return f"data in the format {insert['format'].decode()} may be expressions"
        return None

    def _beyond_grants(self, statement: str, database: str, ask: Ask) -> str | None:
        """The first thing that the statement reads and the user may not."""
        (formatted,) = ask(f"SELECT formatQuery({literal(statement)}) AS statement")
        if _SHOWS_STRUCTURE.match(formatted):
            return None
        if formatted.startswith(("SHOW", "DESCRIBE", "EXISTS", "EXPLAIN")):
            return "it may show what a query in it reads"
        granted = {f"{database}.{one.table}": one for one in grants_of(self.account) if one.right == "SELECT"}
        tree = ask(f"EXPLAIN QUERY TREE passes = 1 {_FORMAT.sub('', formatted)}")
        return next(_refused(tree, granted), None)


def accounts_to_text(accounts: Sequence[Account]) -> str:
    """The users as text, for the environment of the process."""
    return json.dumps([asdict(account) for account in accounts])


def accounts_from_text(text: str) -> dict[str, Account]:
    """The users by name, from that text."""
    accounts = [Account(**{**fields, "agents": tuple(fields["agents"])}) for fields in json.loads(text)]
    return {account.name: account for account in accounts}


def _refused(tree: list[str], granted: Mapping[str, Grant]) -> Iterator[str]:
    """What of an analyzed query is not granted; in a subquery too, because each is a part of the tree."""
    if not tree or not tree[0].startswith(("QUERY id", "UNION id")):
        yield "it cannot be told what it reads"
    sources = {found[1]: found[2] for line in tree if (found := _TABLE.match(line))}
    for table in sources.values():
        if table not in granted and table not in SYSTEM_TABLES:
            yield f"no right to read {table}"
    for line in tree:
        if (found := _TABLE_FUNCTION.match(line)) and found[1].lower() not in OWN_ROWS:
            yield f"the table function {found[1]} may read any table"
        found = _COLUMN.match(line)
        grant = granted.get(sources.get(found[2], "")) if found else None
        if found and grant and grant.columns and found[1] not in grant.columns:
            yield f"no right to read {found[1]} of {grant.table}"
