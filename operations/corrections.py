"""Corrects the cost with which a step of a case counts in the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.installation import Installation
from nightdesk.operations.ledger_audit import read_facts
from nightdesk.operations.persons import claimed_name, of_a_person
from nightdesk.processors.ledger import Fact
from nightdesk.processors.ledger.entries import correction
from nightdesk.schemas.records import BudgetEntry
from nightdesk.schemas.topics import BUDGET

MICROUSD_AT_MOST = 10**15


@dataclass(frozen=True, slots=True)
class Correction:
    """The real cost of a step of a case. Without a `person` it is the user who is logged in."""

    agent: str
    case_id: str
    step: int
    microusd: int
    reason: str
    person: str = ""


def correct(installation: Installation, wanted: Correction) -> Fact:
    """Send the correction; returns what the budget stage counted before. Raises `Failure`."""
    fact = _settled(read_facts(installation), wanted)
    person = of_a_person(wanted.person) if wanted.person else claimed_name()
    line = correction(fact, wanted.microusd, person, wanted.reason, datetime.now(UTC))
    with registered_codec(installation, BudgetEntry) as codec:
        produce(installation.kafka, BUDGET, [(wanted.agent, codec.encode(line))])
    return fact


def microusd(dollars: str) -> int:
    """Millionths of a dollar, from dollars as people write them. Raises `Failure`."""
    try:
        amount = Decimal(dollars) * 1_000_000
        if 0 <= amount <= MICROUSD_AT_MOST and amount == int(amount):
            return int(amount)
    except (InvalidOperation, ValueError, OverflowError):
        pass
    raise Failure(f"{dollars!r} is not an amount", "Write dollars, to the millionth, as in 0.0123", FailureKind.INVALID)


def _settled(facts: Sequence[Fact], wanted: Correction) -> Fact:
    """The fact of the step. Raises `Failure` for an open step, because its settlement is on its way."""
    for fact in facts:
        if (fact.agent, fact.case_id, fact.step) == (wanted.agent, wanted.case_id, wanted.step):
            if fact.state in ("settled", "unknown"):
                return fact
            raise Failure(
                f"step {wanted.step} of {wanted.case_id} is {fact.state}: nothing of it is counted yet",
                "Wait until it is",
            )
    raise Failure(
        f"the budget knows no step {wanted.step} of case {wanted.case_id!r} of {wanted.agent}",
        "See `nightdesk why`; what was settled two days ago is forgotten, and its day is over",
        FailureKind.NOT_FOUND,
    )
