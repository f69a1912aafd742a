"""`nightdesk budget`: three ledgers that agree, and a drift of one micro-dollar that is found in any of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.changelog import ENVELOPE
from nightdesk.messaging.naming import group_id
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.processors.ledger import Fact, FactState
from nightdesk.schemas import ids
from nightdesk.schemas.money import money
from nightdesk.schemas.records import BudgetEntry
from nightdesk.schemas.topics import BUDGET
from nightdesk.settings import Settings
from tests.nightdesk.command_line import CommandLine
from tests.processors.examples import compiled
from tests.sinks.records import AGENT, decided, land, of_case

NOW = datetime.now(UTC)
CASE = str(of_case()["case_id"])


def settlement(microusd: int, event_id: str = "evt-1") -> BudgetEntry:
    case_id = str(of_case(event_id)["case_id"])
    entry_id = ids.entry_id(case_id, "settle")
    return BudgetEntry(
        entry_id=entry_id, kind="settle", agent=AGENT, case_id=case_id, amount_microusd=microusd, tokens=120, time=NOW
    )


def fact(microusd: int, event_id: str = "evt-1", state: FactState = "settled") -> Fact:
    return Fact(
        agent=AGENT,
        case_id=str(of_case(event_id)["case_id"]),
        state=state,
        day=NOW.date().isoformat(),
        at=NOW.timestamp(),
        reserved_microusd=9_000,
        spent_microusd=microusd,
        tokens=120,
    )


@pytest.fixture
def log(topics: Settings) -> Callable[..., None]:
    """Writes entries of the ledger."""

    def write(*entries: BudgetEntry) -> None:
        with registered_codec(topics) as codec:
            produce(topics.kafka, BUDGET, [(entry.agent, codec.encode(entry)) for entry in entries])

    return write


@pytest.fixture
def table(topics: Settings) -> Callable[..., None]:
    """Writes facts as the budget stage does, in its `term`."""

    def write(*facts: Fact, term: int = 7) -> None:
        producer = Producer(topics.kafka.client_config())
        name = f"{group_id(topics.kafka.topic_prefix, 'budget')}-ledger-changelog"
        for one in facts:
            value = ENVELOPE.pack(term, 0.0) + one.model_dump_json().encode()
            producer.produce(name, key=f"{one.agent}|{one.case_id}", value=value, partition=0)
        assert producer.flush(30) == 0

    return write


Write = Callable[..., None]


def test_books_that_agree(nightdesk: CommandLine, client: Client, log: Write, table: Write) -> None:
    log(settlement(4_200), settlement(4_200))
    table(fact(0, state="open"), fact(4_200), fact(0, "evt-2", state="open"))
    table(fact(77), term=6)  # a late write of a process that lost the partition
    land(client, decided(1))
    assert nightdesk("budget", "verify", "--output", "json").json() == {
        "cases": 1,
        "spent_microusd": 4_200,
        "unknown_microusd": 0,
        "tokens": 120,
        "open_reservations": 1,
        "reserved_microusd": 9_000,
        "log_since": None,
        "drifts": [],
    }
    text = nightdesk("budget", "verify")
    assert text.code == 0
    assert text.out == "cases: 1, spent: $0.0042, open reservations: 1 ($0.009), drift: 0\n"


@pytest.mark.parametrize(
    ("in_log", "in_table", "in_audit"), [(4_201, 4_200, 4_200), (4_200, 4_199, 4_200), (4_200, 4_200, 0)]
)
def test_a_drift_is_named(
    nightdesk: CommandLine, client: Client, log: Write, table: Write, in_log: int, in_table: int, in_audit: int
) -> None:
    log(settlement(in_log), settlement(50, "evt-2"))
    table(fact(in_table), fact(50, "evt-2"))
    if in_audit:
        land(client, decided(1))
    land(client, decided(2, event_id="evt-2", cost_microusd=50), first=10)
    result = nightdesk("budget", "verify", "--wait", "0", "--output", "json")
    assert result.code == 1
    assert result.json()["drifts"] == [
        {"agent": AGENT, "case_id": CASE, "log_microusd": in_log, "table_microusd": in_table,
         "audit_microusd": in_audit, "log_unknown_microusd": 0, "table_unknown_microusd": 0}
    ]  # fmt: skip
    said = nightdesk("budget", "verify", "--wait", "0").out.splitlines()[0]
    log_says, table_says, audit_says = map(money, (in_log, in_table, in_audit))
    assert said == f"drift: {AGENT} {CASE}: log {log_says}, table {table_says}, audit {audit_says}"


def test_what_was_spent_and_never_settled_is_drift(nightdesk: CommandLine, client: Client, topics: Settings) -> None:
    land(client, decided(1, time=NOW))
    result = nightdesk("budget", "verify", "--wait", "0")
    assert result.code == 1
    assert "log $0.00, table $0.00, audit $0.0042" in result.out


def test_before_topics_apply_it_says_what_to_run(nightdesk: CommandLine) -> None:
    assert "nightdesk" in nightdesk("budget", "verify").err


def test_what_is_spent_held_and_left(nightdesk: CommandLine, topics: Settings, table: Write) -> None:
    capped = compiled(("per_case_usd: 0.50}", "per_case_usd: 0.50, actions: {refund: {per_day_usd: 2}}}"))
    give_orders(topics, charter_orders([capped.charter]))
    known = {"agent": "desk", "event_type": "ticket.created"}
    table(
        fact(4_200).model_copy(update={**known, "action": "respond"}),
        fact(0, "evt-2", "open").model_copy(update={**known, "held_actions": ("refund",)}),
        fact(0, "evt-3", "unknown").model_copy(update={**known, "case_id": "c"}),
        fact(9, "evt-4").model_copy(update={**known, "day": "2020-01-01"}),
    )
    rows = nightdesk("budget", "show", "desk", "--output", "json").json()
    nothing = {"spent_microusd": 0, "unknown_microusd": 0, "reserved_microusd": 0, "tokens": 0}
    whole = {"spent_microusd": 4_200, "unknown_microusd": 9_000, "reserved_microusd": 9_000, "tokens": 120, "steps": 3}
    day = {"agent": "desk", "day": NOW.date().isoformat(), "time_zone": "UTC"}
    assert rows == [
        {**day, "scope": "", **whole, "left_microusd": 25_000_000 - 22_200, "per_day_microusd": 25_000_000},
        {**day, **nothing, "scope": "action:refund", "reserved_microusd": 9_000, "steps": 1,
         "left_microusd": 1_991_000, "per_day_microusd": 2_000_000},
        {**day, **nothing, "scope": "action:respond", "spent_microusd": 4_200, "tokens": 120, "steps": 1,
         "left_microusd": None, "per_day_microusd": None},
        {**day, "scope": "event:ticket.created", **whole, "left_microusd": None, "per_day_microusd": None},
    ]  # fmt: skip
    text = nightdesk("budget", "show").out.splitlines()
    assert text[0].split()[:2] == ["scope", "spent"]
    assert text[1].split() == ["all", "$0.0042", "$0.009", "$0.009", "$24.9778", "$25.00", "120"]


def test_the_day_is_that_of_the_budgets_time_zone(nightdesk: CommandLine, topics: Settings) -> None:
    zone = ZoneInfo("Pacific/Kiritimati")  # fourteen hours ahead
    away = compiled(("budget: {", f"budget: {{time_zone: {zone.key}, "))
    give_orders(topics, charter_orders([away.charter]))
    before = datetime.now(zone).date()
    [whole] = nightdesk("budget", "show", "desk", "--output", "json").json()
    assert whole["time_zone"] == zone.key
    assert before <= date.fromisoformat(whole["day"]) <= datetime.now(zone).date()
    assert f"{whole['day']} {zone.key}" in nightdesk("budget", "show").out


def test_a_person_corrects_what_a_step_is_counted_with(
    nightdesk: CommandLine, topics: Settings, table: Write, client: Client
) -> None:
    table(fact(10**12), fact(0, "evt-2", state="open"))
    given = ("budget", "correct", AGENT, CASE, "--person", "ada", "--reason", "the invoice")
    assert nightdesk(*given, "--usd", "0.0042").out == f"{AGENT} {CASE}: counted $0.009, now $0.0042\n"
    with registered_codec(topics) as codec:
        [message] = read_topic(topics.kafka, topics.kafka.topic_prefix + BUDGET.name)
        line = codec.decode(BudgetEntry, message.value())
    assert (line.kind, line.amount_microusd, line.person, line.reason) == ("correct", 4_200, "ada", "the invoice")
    for wrong in ("-1", "NaN", "Infinity", "0.00000001", "1e99", "a lot"):
        assert nightdesk(*given, f"--usd={wrong}").code == 2
    assert nightdesk("budget", "correct", AGENT, "nobody", "--usd", "1", "--reason", "r").code == 3
    still_open = str(of_case("evt-2")["case_id"])
    assert nightdesk("budget", "correct", AGENT, still_open, "--usd", "1", "--reason", "r").code == 1


def test_what_cannot_be_shown(nightdesk: CommandLine, topics: Settings) -> None:
    assert nightdesk("budget", "show", "nobody").code == 3
    assert nightdesk("budget", "show", "--day", "yesterday").code == 2
    old = nightdesk("budget", "show", "--day", "2020-01-01")
    assert (old.code, "costs_by_day" in old.err) == (3, True)
