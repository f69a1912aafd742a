"""How long rows and texts are kept: ClickHouse deletes what is older when it merges parts.

`nightdesk migrate` makes the tables equal to the settings. The roll-ups have no limit: they name no subject, and stay
when the facts that they were counted from are gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightdesk.sinks.clickhouse.topology import ONE_SERVER, Topology

if TYPE_CHECKING:  # every worker reads the settings, which have a retention
    from clickhouse_connect.driver.client import Client

DEFAULT_MONTHS = 25
# A limit is a DateTime, which ends in the year 2106: a later one would be in the past.
MONTHS_AT_MOST = 600
DEFINITIONS = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"


@dataclass(frozen=True, slots=True)
class Kept:
    """A table whose rows are deleted when `age` is past; `texts` are the columns with what customers, models and other
    systems wrote, `prompts` those with what models were asked and answered. A column that is both has prompts in its
    rows of kind `asked`.
    """

    table: str
    age: str
    texts: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()


TABLES = (
    Kept("audit_records", "toDateTime(case_at)", ("detail",), ("detail",)),
    Kept("audit_places", "landed_at"),
    Kept("records_by_kind", "hour", ("detail",)),
    Kept("decision_facts", "hour", ("parameters", "reasoning")),
    Kept("step_facts", "hour", ("result", "error")),
    Kept("model_call_facts", "hour", prompts=("prompt", "reply")),
    Kept("case_states", "hour"),
    Kept("case_lines", "hour"),
    Kept("follow_up_facts", "toDateTime(due_at)"),
    Kept("ids", "hour"),
)
NAMES = frozenset(one.table for one in TABLES)


@dataclass(frozen=True, slots=True)
class Retention:
    """How many months rows, texts and prompts are kept; `tables` has the tables that differ. Without `texts`, texts are
    kept as long as their rows, and without `prompts`, prompts are kept as long as other texts.
    """

    months: int = DEFAULT_MONTHS
    texts: int | None = None
    prompts: int | None = None
    tables: Mapping[str, int] = field(default_factory=dict)

    def of(self, table: str) -> int:
        """How many months its rows are kept."""
        return self.tables.get(table, self.months)

    @property
    def description(self) -> str:
        """For people."""
        parts = [f"rows are kept for {self.months} months", *(f"{name} for {n}" for name, n in self.tables.items())]
        parts += [f"texts for {self.texts}"] if self.texts else []
        return ", ".join([*parts, f"prompts for {self.prompts}"] if self.prompts else parts)


def changes(client: Client, retention: Retention, topology: Topology = ONE_SERVER) -> dict[str, list[str]]:
    """Table -> the statements that make it equal to the settings, for the tables that differ from them."""
    definitions = {str(name): str(query) for name, query in client.query(DEFINITIONS).result_rows}
    found = {
        one.table: _alterations(one, definitions[one.table], retention) for one in TABLES if one.table in definitions
    }
    return {
        table: [topology.statement(f"ALTER TABLE {table} {alteration}") for alteration in alterations]
        for table, alterations in found.items()
        if alterations
    }


def _alterations(one: Kept, definition: str, retention: Retention) -> list[str]:
    columns, _, engine = definition.partition(" ENGINE = ")
    months = retention.of(one.table)
    limit = f"{one.age} + toIntervalMonth({months})"
    made = [] if engine.partition(" TTL ")[2].partition(" SETTINGS ")[0] == limit else [f"MODIFY TTL {limit}"]
    found = [
        _of_text(one, name, columns, _months(one, name, retention))
        for name in dict.fromkeys((*one.texts, *one.prompts))
    ]
    return made + [alteration for alteration in found if alteration]


def _months(one: Kept, name: str, retention: Retention) -> str:
    """How many months the column's texts are kept, in SQL; empty if as long as their rows."""
    rows = retention.of(one.table)
    texts = min(rows, retention.texts or rows)
    prompts = min(texts, retention.prompts or texts)
    if name not in one.prompts:
        prompts = texts
    elif name not in one.texts:
        texts = prompts
    if texts == prompts:
        return "" if texts == rows else str(texts)
    return f"if(kind = 'asked', {prompts}, {texts})"


def _of_text(one: Kept, name: str, columns: str, months: str) -> str:
    """What changes the column; empty if nothing does."""
    found = re.search(rf"`{name}` .*?(?: TTL (?P<limit>.+?))?(?=, `|, INDEX |, PROJECTION |\)$)", columns)
    has = found["limit"] if found else None
    if not months:
        return f"MODIFY COLUMN `{name}` REMOVE TTL" if has else ""
    limit = f"{one.age} + toIntervalMonth({months})"
    return "" if has == limit else f"MODIFY COLUMN `{name}` TTL {limit}"
