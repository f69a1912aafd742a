"""Reads the three records of the agents' costs (log, table, audit) and compares them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from confluent_kafka import Message

from nightdesk.messaging.failures import Failure
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_table, read_topic
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.processors.ledger import Fact
from nightdesk.processors.reconciliation import Cost, CostTable, Drift, costs_of_log, costs_of_table, drifts
from nightdesk.schemas.codec import Codec, RegistryUnavailable, Undecodable
from nightdesk.schemas.records import BudgetEntry
from nightdesk.schemas.topics import BUDGET
from nightdesk.sinks.costs import case_costs

# If the beginning of the log was deleted, the entry of an audit record this young is certainly still in it.
MARGIN = timedelta(hours=1)
LOOK_AGAIN_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Totals:
    """The total of all cases in the log, and what is reserved for steps that are not settled."""

    cases: int
    spent_microusd: int
    unknown_microusd: int
    tokens: int
    open_reservations: int
    reserved_microusd: int


@dataclass(frozen=True, slots=True)
class LedgerAudit:
    """The costs of each case in log, table and audit. `since` is where the log begins, None if it is complete."""

    log: CostTable
    table: CostTable
    audit: CostTable
    facts: tuple[Fact, ...]
    since: datetime | None

    def drifts(self) -> set[Drift]:
        return set(drifts(self.log, self.table, self.audit, datetime.now(UTC)))

    def totals(self) -> Totals:
        still_open = [fact for fact in self.facts if fact.state == "open"]
        return Totals(
            cases=len({*self.log, *self.table, *self.audit}),
            spent_microusd=sum(cost.microusd for cost in self.log.values()),
            unknown_microusd=sum(cost.unknown_microusd for cost in self.log.values()),
            tokens=sum(cost.tokens for cost in self.log.values()),
            open_reservations=len(still_open),
            reserved_microusd=sum(fact.reserved_microusd for fact in still_open),
        )


def verify_ledger(settings: Installation, wait_s: float) -> tuple[LedgerAudit, list[Drift]]:
    """The costs, and the differences that remain after reading again for up to `wait_s`, because an entry that is on
    its way is no difference.

    Raises `Failure`.
    """
    until = time.monotonic() + wait_s
    found = read_ledger_audit(settings)
    lasting = found.drifts()
    while lasting and time.monotonic() < until:
        time.sleep(LOOK_AGAIN_AFTER_S)
        found = read_ledger_audit(settings)
        lasting &= found.drifts()
    return found, sorted(lasting, key=lambda drift: (drift.agent, drift.case_id))


def read_ledger_audit(settings: Installation) -> LedgerAudit:
    """Read all three. Raises `Failure`."""
    with registered_codec(settings, BudgetEntry) as codec:
        log = _Log(settings, codec)
        book = costs_of_log(log.entries())
    facts = read_facts(settings)
    since = datetime(2000, 1, 1, tzinfo=UTC) if log.since is None else log.since + MARGIN
    with clickhouse(settings.clickhouse) as client:
        audit = {cost.case_id: Cost(*cost[1:]) for cost in case_costs(client, since)}
    if log.since is not None:
        book = {case_id: cost for case_id, cost in book.items() if cost.at >= since}
    return LedgerAudit(book, costs_of_table(facts), audit, facts, log.since)


def read_facts(settings: Installation) -> tuple[Fact, ...]:
    """The facts in the budget stage's table."""
    return tuple(Fact.model_validate_json(value) for value in read_table(settings.kafka, "budget", "ledger").values())


class _Log:
    """The budget topic. `since` is known after its entries were read."""

    def __init__(self, settings: Installation, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self.since: datetime | None = None

    def entries(self) -> Iterator[BudgetEntry]:
        """Every entry that can be decoded. Any other became a dead letter and changed no balance."""
        begun: set[int] = set()
        for message in read_topic(self._settings.kafka, self._settings.kafka.topic_prefix + BUDGET.name):
            partition = message.partition() or 0
            if partition not in begun:
                begun.add(partition)
                self._begin(message)
            try:
                yield self._codec.decode(BudgetEntry, message.value())
            except Undecodable:
                continue
            except RegistryUnavailable as error:
                raise Failure(str(error)) from error

    def _begin(self, message: Message) -> None:
        if message.offset():
            first = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
            self.since = first if self.since is None else max(self.since, first)
