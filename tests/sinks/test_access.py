"""Each user of the audit database can do its work, and nothing else: ClickHouse decides (`one_user`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from nightdesk.schemas.audit import ActionDetail, DecisionDetail
from nightdesk.sinks.audit.chain import Chains
from nightdesk.sinks.audit.hours import COUNT, COUNTED, DELETE, count_hours
from nightdesk.sinks.audit.table import AuditTable, InsertSlice
from nightdesk.sinks.clickhouse.access import HIDDEN_FROM_VIEWERS, OF_ALL_AGENTS, Account, statements_for
from nightdesk.sinks.clickhouse.migrate import migrate, outdated
from nightdesk.sinks.clickhouse.quoting import literal
from nightdesk.sinks.clickhouse.roll_ups import ROLL_UPS
from nightdesk.sinks.clickhouse.topology import Topology
from nightdesk.sinks.clickhouse.views import View, views
from nightdesk.sinks.queries import story
from tests.sinks.one_user import as_user, hand_views_over
from tests.sinks.records import START, of_case, outcome, question, record

MIGRATE, SINK, READER = Account("migrate", "m"), Account("sink", "s"), Account("reader", "r")
VIEWER = Account("viewer", "v")
REFUNDS = Account("viewer", "refunds_team", agents=("refunds", "billing"))
EVERYBODY = [MIGRATE, SINK, READER, VIEWER, REFUNDS]
SECRET = "the customer's own words"

OUTSIDE = (
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1:9', 'system.one')",
    "INSERT INTO FUNCTION file('{folder}/written', 'CSV', 'a UInt8') SELECT 1",
    "INSERT INTO FUNCTION url('http://127.0.0.1:9/', 'CSV', 'a UInt8') SELECT 1",
    "CREATE TABLE outside (a String) ENGINE = File(CSV, '{folder}/written')",
)
CHANGES = (
    "ALTER TABLE audit_records DELETE WHERE 1",
    "ALTER TABLE audit_records UPDATE reason = '' WHERE 1",
    "DELETE FROM audit_records WHERE 1",
    "TRUNCATE TABLE audit_records",
    "DROP TABLE audit_records",
    "DROP VIEW cases",
    "OPTIMIZE TABLE audit_records FINAL",
    "CREATE TABLE another (a UInt8) ENGINE = MergeTree ORDER BY a",
    "INSERT INTO case_states (case_id) VALUES ('forged')",
    "INSERT INTO migrations (version) VALUES (99)",
)
HOUR = {"now": 1, "hours": [START]}
FORGED = "INSERT INTO audit_records (record_id, kind) VALUES ('forged', 'decided')"


def slice_of_two_agents() -> InsertSlice:
    records = []
    for number, agent in enumerate(("support-triage", "refunds")):
        case = of_case(f"evt-{number}", agent)
        told = json.dumps({"timer_id": f"t-{number}", "due_at": "2027-01-01T00:00:00Z", "type": "ticket.followup"})
        reminds = outcome(1, handler="remind", attempts=0, result=told)
        done = ActionDetail(outcomes=(outcome(0, result=SECRET), reminds))
        reasoned = DecisionDetail(kind="respond", reasoning=SECRET, parameters=SECRET)
        records += [
            record("received", 0, {}, **case),
            record("decided", 1, reasoned, decision_id=f"d-{number}", **case),
            record("acted", 2, done, status="completed", decision_id=f"d-{number}", **case),
            record("asked", 1, question(prompt=SECRET, reply=SECRET), **case),
            record("dead_letter", 3, {"dead_letter_id": f"l-{number}", "message": SECRET}, **case),
        ]
    return InsertSlice("audit", 0, records, range(len(records)))


def build(client: Client) -> list[str]:
    migrate(client)
    hand_views_over(client)
    return outdated(client)


def insert(client: Client) -> dict[int, str]:
    table, rows = AuditTable(lambda: client), slice_of_two_agents()
    table.insert([rows])
    table.feed([rows])
    assert table.highest_offset(rows) == rows.offsets[-1]
    Chains(table).extend([rows])
    assert table.incarnation("audit", "its id") == 0
    assert len(table.case_times([(one.subject, str(one.case_id)) for one in rows.records])) == 2
    assert count_hours(client) == 0  # the hour was touched a moment ago
    for one in ROLL_UPS:
        client.command(DELETE.format(table=one.table, keys=", ".join(one.keys)), parameters=HOUR)
        client.command(COUNT.format(table=one.table, recount=one.recount), parameters=HOUR)
    client.command(COUNTED, parameters=HOUR)
    return table.stored(rows)


def refused(client: Client, statements: Sequence[str]) -> list[str]:
    """The statements that ClickHouse does not refuse for want of a right."""
    allowed = []
    for statement in statements:
        try:
            client.command(statement)
            allowed.append(statement)
        except ClickHouseError as error:
            if "ACCESS_DENIED" not in str(error):
                allowed.append(f"{statement}: {error}")
    return allowed


def answers(client: Client, queries: Sequence[str]) -> list[list[tuple[object, ...]]]:
    return [[tuple(row) for row in client.query(query).result_rows] for query in queries]


def why(client: Client) -> tuple[int, list[str]]:
    found = story(client, "ticket-1")
    assert found is not None
    return len(found.cases), outdated(client)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that `migrate` made and `sink` filled, with the rights of each."""
    found = tmp_path_factory.mktemp("one-user")
    as_user(found, MIGRATE, build)
    assert len(as_user(found, SINK, insert)) == len(slice_of_two_agents().records)
    return found


@pytest.mark.parametrize("account", EVERYBODY, ids=lambda account: account.name)
def test_nobody_reaches_a_file_another_server_or_more_than_its_work(
    folder: Path, account: Account, tmp_path: Path
) -> None:
    statements = [statement.format(folder=tmp_path) for statement in OUTSIDE]
    if account.user == "migrate":
        statements = [one for one in statements if not one.startswith("CREATE")]
    else:
        statements += CHANGES if account.user == "sink" else [*CHANGES, FORGED]
    assert as_user(folder, account, partial(refused, statements=statements)) == []
    assert not list(tmp_path.iterdir())


def test_the_reader_reads_everything(folder: Path) -> None:
    assert as_user(folder, READER, why) == (2, [])


def _how_set(client: Client, statements: Sequence[str]) -> list[str]:
    """What ClickHouse says to each statement."""
    said = []
    for statement in statements:
        try:
            said.append(str(client.query(statement).result_rows[0][0]))
        except ClickHouseError as error:
            said.append("refused" if "SETTING_CONSTRAINT_VIOLATION" in str(error) else str(error))
    return said


@pytest.mark.parametrize("account", [READER, VIEWER], ids=lambda account: account.name)
def test_who_reads_cannot_lift_its_own_limits(folder: Path, account: Account) -> None:
    """In a subquery ClickHouse replaces a value by the nearest that is allowed."""
    query = "SELECT toString(getSetting('{0}')) SETTINGS {0} = {1}"
    lifted = [("max_execution_time", "0"), ("max_execution_time", "601"), ("max_execution_time", "DEFAULT")]
    lifted += [("max_memory_usage", "0"), ("max_memory_usage", "8000000001"), ("max_threads", "65")]
    inner = ["SELECT * FROM (" + query.format(name, "0") + ")" for name in ("max_execution_time", "max_memory_usage")]
    statements = [*(query.format(*one) for one in lifted), *inner, query.format("max_execution_time", "0.2")]
    said = as_user(folder, account, partial(_how_set, statements=statements))
    assert said == ["refused"] * len(lifted) + ["0.001", "1", "0.2"]


def _shown(view: View) -> list[str]:
    return [f"`{one}`" for one in view.columns if one not in HIDDEN_FROM_VIEWERS[view.name]]


def test_the_viewer_sees_every_agent_and_no_text(folder: Path) -> None:
    hidden = [f"SELECT {one} FROM {view}" for view, columns in HIDDEN_FROM_VIEWERS.items() for one in columns]
    tables = [f"SELECT * FROM {name}" for name in ("records", "audit_records", "case_states", "ids")]
    assert as_user(folder, VIEWER, partial(refused, statements=hidden + tables)) == []
    shown = [
        f"SELECT formatRow('TSV', {', '.join(_shown(view))}) FROM {view.name}"
        for view in views()
        if view.name in HIDDEN_FROM_VIEWERS
    ]
    agents, *rows = as_user(folder, VIEWER, partial(answers, queries=["SELECT agent FROM cases ORDER BY 1", *shown]))
    assert agents == [("refunds",), ("support-triage",)]
    assert all(rows), shown
    assert SECRET not in str(rows)


def test_a_viewer_of_some_agents_sees_their_rows_only(folder: Path) -> None:
    own = sorted(HIDDEN_FROM_VIEWERS.keys() - OF_ALL_AGENTS)
    agents = [f"SELECT DISTINCT agent FROM {view}" for view in own]
    assert as_user(folder, REFUNDS, partial(answers, queries=agents)) == [[("refunds",)]] * len(own)
    # A condition of their own is not asked about rows of others.
    probes = [f"SELECT count() > 0 FROM {view} WHERE throwIf(agent != 'refunds', 'not ours') = 0" for view in own]
    assert as_user(folder, REFUNDS, partial(answers, queries=probes)) == [[(True,)]] * len(own)
    of_all = [f"SELECT count() FROM {view}" for view in OF_ALL_AGENTS]
    assert as_user(folder, REFUNDS, partial(refused, statements=of_all)) == []


def test_every_view_is_for_viewers_or_for_readers_only() -> None:
    for_readers = {view.name for view in views() if not view.name.endswith("_recount")} - HIDDEN_FROM_VIEWERS.keys()
    assert for_readers == {"records", "open_hours"}
    by_agent = {view.name for view in views() if "agent" in view.columns}
    assert HIDDEN_FROM_VIEWERS.keys() - OF_ALL_AGENTS <= by_agent


def test_the_statements_are_such_that_clickhouse_parses_them(folder: Path) -> None:
    accounts = [Account("migrate", "m", "p'w"), SINK, Account("viewer", "a`b", "x", ("o'hara", "b"))]
    made = statements_for("night`desk", accounts, Topology("our cluster"), "S3")
    queries = [f"SELECT formatQuery({literal(one)})" for one in made]
    for ((formatted,),) in as_user(folder, READER, partial(answers, queries=queries)):
        assert "p'w" not in str(formatted)
        assert "ON CLUSTER `our cluster`" in str(formatted)
