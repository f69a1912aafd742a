"""The three books of the agents' money, read from where they are. Called by `nightdesk budget`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from confluent_kafka import Message

from nightdesk.clickhouse import clickhouse
from nightdesk.exits import Failure
from nightdesk.reading import read_table, read_topic
from nightdesk.registered_codec import registered_codec
from nightdesk.settings import Settings
from processors.ledger import Fact
from processors.reconciliation import Book, Cost, Drift, book_of_log, book_of_table, drifts
from schemas.codec import Codec, RegistryUnavailable, Undecodable
from schemas.records import BudgetEntry
from schemas.topics import BUDGET
from sinks.costs import case_costs

# Where the log has lost its beginning, an audit record so young certainly has its line in it.
MARGIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Books:
    """What each book says of each case. `since` is where the log begins, None where it has its first line still."""

    log: Book
    table: Book
    audit: Book
    facts: tuple[Fact, ...]
    since: datetime | None

    def drifts(self) -> set[Drift]:
        return set(drifts(self.log, self.table, self.audit, datetime.now(UTC)))


def read_books(settings: Settings) -> Books:
    """All three. Raises `Failure`."""
    with registered_codec(settings) as codec:
        log = _Log(settings, codec)
        book = book_of_log(log.entries())
    facts = read_facts(settings)
    since = datetime(2000, 1, 1, tzinfo=UTC) if log.since is None else log.since + MARGIN
    with clickhouse(settings.clickhouse) as client:
        audit = {cost.case_id: Cost(*cost[1:]) for cost in case_costs(client, since)}
    if log.since is not None:
        book = {case_id: cost for case_id, cost in book.items() if cost.at >= since}
    return Books(book, book_of_table(facts), audit, facts, log.since)


def read_facts(settings: Settings) -> tuple[Fact, ...]:
    """What the budget stage remembers."""
    return tuple(Fact.model_validate_json(value) for value in read_table(settings.kafka, "budget", "ledger").values())


class _Log:
    """The budget topic. `since` is known when its entries were read."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self.since: datetime | None = None

    def entries(self) -> Iterator[BudgetEntry]:
        """Every line that can be read; one that cannot is a dead letter, and changed nobody's balance."""
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
