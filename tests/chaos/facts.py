"""The state after a run, as plain values: the checker reads nothing else.

`gather.py` reads them; the tests of the checker write them by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nightdesk.processors.ledger import Fact
from nightdesk.schemas.records import AuditRecord, BudgetEntry, Case, DeadLetter, Decision
from tests.chaos.events import Sent
from tests.chaos.outside import Asked, Effect

Name = tuple[str, int]


@dataclass(frozen=True)
class InsertedRow:
    """A row of the audit table, including duplicates."""

    partition: int
    offset: int
    record_id: str


@dataclass(frozen=True)
class AuditedRecord:
    """An audit record and its place on the topic."""

    partition: int
    offset: int
    record: AuditRecord


@dataclass(frozen=True)
class Cost:
    """One row of the roll-up, over all days."""

    decisions: int
    cost_microusd: int


@dataclass(frozen=True)
class LedgerWrite:
    """A write to the ledger's changelog, in the order of the log. `fact` None deletes the key."""

    key: bytes
    term: int
    fact: Fact | None


@dataclass(frozen=True)
class DeadLettered:
    """A dead letter: its reason, and the original bytes. `origin`: the first place of a forwarded record."""

    letter: DeadLetter
    value: bytes
    origin: str = ""


@dataclass(frozen=True)
class Facts:
    """The input (`sent`, `poison`, `limits_microusd`, the number of `kills`) and the result. `observed` are the
    violations that scenarios saw while they were played. Topics are in the order of each partition.
    """

    sent: tuple[Sent, ...] = ()
    poison: tuple[bytes, ...] = ()
    limits_microusd: Mapping[str, int] = field(default_factory=dict)
    kills: int = 0
    observed: tuple[str, ...] = ()
    # topics
    audited: tuple[AuditedRecord, ...] = ()
    decisions: tuple[Decision, ...] = ()
    cases: tuple[Case, ...] = ()
    entries: tuple[BudgetEntry, ...] = ()
    ledger: tuple[LedgerWrite, ...] = ()
    dead_letters: tuple[DeadLettered, ...] = ()
    # ClickHouse
    ends: tuple[tuple[Name, str], ...] = ()
    inserted: tuple[InsertedRow, ...] = ()
    records: tuple[str, ...] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)
    # the outside
    effects: tuple[Effect, ...] = ()
    asked: tuple[Asked, ...] = ()
    executed_twice: int = 0
    # what `nightdesk budget verify` finds
    drifts: tuple[str, ...] = ()
