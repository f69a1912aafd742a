"""What is there when it is calm again, as plain values: the checker looks at nothing else.

`gather.py` reads it; the tests of the checker write it by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from processors.ledger import Fact
from schemas.records import AuditRecord, BudgetEntry, Case, DeadLetter, Decision
from tests.chaos.events import Sent
from tests.chaos.outside import Asked, Effect

Name = tuple[str, int]


@dataclass(frozen=True)
class Landed:
    """A row of the audit table, duplicates and all."""

    partition: int
    offset: int
    record_id: str


@dataclass(frozen=True)
class Said:
    """An audit record, and where on the topic it lies."""

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
    """A write to the ledger's changelog, in the order of the log. `fact` None forgets the key."""

    key: bytes
    term: int
    fact: Fact | None


@dataclass(frozen=True)
class Buried:
    """A dead letter: what it says, and the bytes as they came."""

    letter: DeadLetter
    value: bytes


@dataclass(frozen=True)
class Facts:
    """The truth (`sent`, `poison`, `limits_microusd`) and what was found. `observed` is what was
    seen to be wrong while a scenario was played. Topics are in the order of each partition."""

    sent: tuple[Sent, ...] = ()
    poison: tuple[bytes, ...] = ()
    limits_microusd: Mapping[str, int] = field(default_factory=dict)
    observed: tuple[str, ...] = ()
    # topics
    said: tuple[Said, ...] = ()
    decisions: tuple[Decision, ...] = ()
    cases: tuple[Case, ...] = ()
    entries: tuple[BudgetEntry, ...] = ()
    ledger: tuple[LedgerWrite, ...] = ()
    buried: tuple[Buried, ...] = ()
    # ClickHouse
    ends: tuple[tuple[Name, str], ...] = ()
    landed: tuple[Landed, ...] = ()
    records: tuple[str, ...] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)
    # the outside
    effects: tuple[Effect, ...] = ()
    asked: tuple[Asked, ...] = ()
    executed_twice: int = 0
    # what `nightdesk budget verify` finds
    drifts: tuple[str, ...] = ()
