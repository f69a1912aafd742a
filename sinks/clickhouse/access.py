"""The users of the audit database, and what each of them is granted.

`migrate` creates and changes tables. `sink` inserts records and counts hours, and changes nothing. `reader` reads
everything, `viewer` reads the views without texts; further viewers see the rows of their agents only. No user has a
right on files, URLs or other servers, and only `migrate` can delete.

The views read their tables as `migrate` (`SQL SECURITY DEFINER`), so a viewer needs no right on a table, and the row
policies are on the views: what a view computes from all rows is right for everybody.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nightdesk.sinks.clickhouse.quoting import literal, quoted
from nightdesk.sinks.clickhouse.roll_ups import ROLL_UPS
from nightdesk.sinks.clickhouse.statements import READER_LIMITS
from nightdesk.sinks.clickhouse.topology import ONE_SERVER, Topology
from nightdesk.sinks.clickhouse.views import views

StoreUser = Literal["migrate", "sink", "reader", "viewer"]
STORE_USERS: tuple[StoreUser, ...] = ("migrate", "sink", "reader", "viewer")

# By view: the columns that a viewer does not see, because they have what customers, models or other systems wrote. A
# view that is missing here is for readers only.
HIDDEN_FROM_VIEWERS: Mapping[str, frozenset[str]] = {
    "cases": frozenset(),
    "decisions": frozenset({"parameters", "reasoning"}),
    "steps": frozenset({"result", "error"}),
    "model_calls": frozenset({"prompt", "reply"}),
    "dead_letters": frozenset({"message", "end_reason"}),
    "costs_by_day": frozenset(),
    "impact": frozenset(),
    "ends": frozenset(),
    "follow_ups": frozenset(),
    "budget_entries": frozenset(),
    "hourly": frozenset(),
    "hourly_decisions": frozenset(),
    "hourly_steps": frozenset(),
}
# Views with a row for each event and not for each agent: a viewer of some agents may not read them.
OF_ALL_AGENTS = frozenset({"ends"})

# What the sink looks up in the records: their places and ids, and no text.
LOOKED_UP = ("record_id", "kind", "subject", "case_id", "case_at", "topic", "partition", "offset", "incarnation")
INSERTED = ("audit_records", "audit_feed", "audit_links", "incarnations", "hour_states")
# What it reads and deletes when it counts hours.
COUNTING = tuple(name for one in ROLL_UPS for name in (one.table, one.recount))
CHANGES = (
    "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, TRUNCATE,"
    " OPTIMIZE, BACKUP"
)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit of a user, and how far it may be changed in a query. Without a `value` it has the server's own."""

    name: str
    value: str
    least: str
    most: str

    def sql(self) -> str:
        """As it stands in an ALTER USER statement."""
        given = {"=": self.value, "MIN": self.least, "MAX": self.most}
        return " ".join([self.name, *(f"{word} {text}" for word, text in given.items() if text)])


# These limits come beside `readonly = 2`, with which a reader can choose the form of its answer. ClickHouse takes 0 as
# no limit, so a limit has a least value too, except of threads: there 0 is as many as there are cores.
READER_CONSTRAINTS = (
    Constraint("max_execution_time", "60", "0.001", str(READER_LIMITS["max_execution_time"])),
    Constraint("max_memory_usage", "4000000000", "1", str(READER_LIMITS["max_memory_usage"])),
    Constraint("max_threads", "", "", str(READER_LIMITS["max_threads"])),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """A right on a table of the audit database, or on all; on some of its columns, or on all."""

    right: str
    table: str = "*"
    columns: tuple[str, ...] = ()

    def sql(self, database: str) -> str:
        """As it stands in a GRANT statement."""
        columns = f"({', '.join(map(quoted, self.columns))})" if self.columns else ""
        table = self.table if self.table == "*" else quoted(self.table)
        return f"{self.right}{columns} ON {quoted(database)}.{table}"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the database. A viewer with `agents` sees the rows of these agents only. Without a password it is not
    created, only granted its rights.
    """

    user: StoreUser
    name: str
    password: str = ""
    agents: tuple[str, ...] = ()


def grants_of(account: Account) -> tuple[Grant, ...]:
    """Everything that the user may do with the audit database."""
    match account.user:
        case "migrate":
            return (Grant(CHANGES),)
        case "sink":
            return (
                *(Grant("INSERT", table) for table in (*INSERTED, *(one.table for one in ROLL_UPS))),
                *(Grant("SELECT", name) for name in ("audit_places", "incarnations", "open_hours", *COUNTING)),
                Grant("SELECT", "audit_records", LOOKED_UP),
            )
        case "reader":
            return (Grant("SELECT"),)
        case "viewer":
            return tuple(Grant("SELECT", name, columns) for name, columns in _shown(bool(account.agents)).items())


def statements_for(
    database: str, accounts: Sequence[Account], topology: Topology = ONE_SERVER, backups: str = ""
) -> list[str]:
    """The statements that create the users and make their rights equal to the above, whatever they had before.

    `backups` is the kind of place where they lie, `DISK` or `S3`; empty if there are none.
    """
    further = _rights_of_migrate(topology, backups)
    made = [statement for account in accounts for statement in _user_statements(database, account, topology, further)]
    return made + _policies(database, [account for account in accounts if account.agents], topology)


def row_filter(account: Account) -> str:
    """The condition for the rows that a viewer sees."""
    return f"agent IN ({', '.join(map(literal, account.agents))})"


def views_by_agent() -> list[str]:
    """The views that a viewer of some agents may read; each has a column `agent`."""
    return [name for name in HIDDEN_FROM_VIEWERS if name not in OF_ALL_AGENTS]


def _shown(only_by_agent: bool) -> dict[str, tuple[str, ...]]:
    """View -> the columns that a viewer sees."""
    names = views_by_agent() if only_by_agent else list(HIDDEN_FROM_VIEWERS)
    columns = {view.name: view.columns for view in views()}
    return {name: tuple(one for one in columns[name] if one not in HIDDEN_FROM_VIEWERS[name]) for name in names}


def _rights_of_migrate(topology: Topology, backups: str) -> list[str]:
    """Servers may demand a right for each engine of a table, for statements to a whole cluster, and for the place of
    backups.
    """
    rights = ["TABLE ENGINE ON *", "SELECT ON system.mutations", *(["CLUSTER ON *.*"] if topology.cluster else [])]
    return rights + (["SELECT ON system.backups", f"{backups} ON *.*"] if backups else [])


def _user_statements(database: str, account: Account, topology: Topology, of_migrate: Sequence[str]) -> list[str]:
    name, where = quoted(account.name), topology.on_cluster
    login = f" IDENTIFIED WITH sha256_hash BY {_hashed(account.password)}" if account.password else ""
    limits = ", ".join(["readonly = 2", *(limit.sql() for limit in READER_CONSTRAINTS)])
    settings = f" SETTINGS {limits}" if account.user in ("reader", "viewer") else ""
    made = [f"CREATE USER IF NOT EXISTS {name}{where}{login}"] if login else []
    changed = [f"ALTER USER {name}{where}{login}{settings}"] if login or settings else []
    rights = [grant.sql(database) for grant in grants_of(account)]
    if account.user == "migrate":
        rights += of_migrate
    return [*made, *changed, f"GRANT{where} {', '.join(rights)} TO {name} WITH REPLACE OPTION"]


def _policies(database: str, restricted: Sequence[Account], topology: Topology) -> list[str]:
    """The row policies. As soon as a view has one, only users with a policy see rows, so everybody else gets a policy
    for all rows.
    """
    if not restricted:
        return []
    made = []
    for view in views_by_agent():
        place = f"ON {quoted(database)}.{quoted(view)}{topology.on_cluster} FOR SELECT USING"
        everybody_else = ", ".join(quoted(account.name) for account in restricted)
        made.append(f"CREATE ROW POLICY OR REPLACE nightdesk_others {place} 1 TO ALL EXCEPT {everybody_else}")
        for account in restricted:
            policy, name = quoted(f"nightdesk_{account.name}"), quoted(account.name)
            made.append(f"CREATE ROW POLICY OR REPLACE {policy} {place} {row_filter(account)} TO {name}")
    return made


def _hashed(password: str) -> str:
    """The hash and the salt of the password, so that no log of statements has the password."""
    salt = secrets.token_hex(16)
    digest = hashlib.sha256((password + salt).encode()).hexdigest()
    return f"{literal(digest)} SALT {literal(salt)}"
