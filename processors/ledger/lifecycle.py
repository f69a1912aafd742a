"""What a line of the ledger makes of a fact, as a table. `reserve` is not in it: that is judged (`reserving.py`).

The first word about a step's cost stands. One that comes after the reservation has expired, or after everything was
forgotten, is as good: money that was spent counts, whoever remembers that it was held.
"""

from collections.abc import Callable, Mapping

from processors.ledger.facts import Fact, FactState, day_of
from schemas.records import BudgetEntry


def after(known: Fact | None, line: BudgetEntry) -> Fact | None:
    """The fact after `line`; None where it changes nothing."""
    change = CHANGES.get((None if known is None else known.state, line.kind))
    return None if change is None else change(known or _unheard_of(line), line)


def _unheard_of(line: BudgetEntry) -> Fact:
    return Fact(
        agent=line.agent,
        case_id=line.case_id,
        step=line.step,
        state="open",
        day=line.day or day_of(line.time),
        at=line.time.timestamp(),
        event_type=line.event_type,
    )


def _settle(known: Fact, line: BudgetEntry) -> Fact:
    told = {
        "spent_microusd": line.amount_microusd,
        "tokens": line.tokens,
        "action": line.action,
        "settled_at": line.time.timestamp(),
        "low_confidence": line.low_confidence,
    }
    return known.model_copy(update={**told, "state": "settled"})


def _settle_what_was_free(known: Fact, line: BudgetEntry) -> Fact | None:
    """Nothing was held, so nobody waited for this line; a second one is a duplicate."""
    return None if known.settled_at else _settle(known, line)


def _release(known: Fact, line: BudgetEntry) -> Fact:
    return known.model_copy(update={"state": "settled", "spent_microusd": 0, "settled_at": line.time.timestamp()})


def _expire(known: Fact, line: BudgetEntry) -> Fact:
    return known.model_copy(update={"state": "unknown", "settled_at": line.time.timestamp()})


def _end(known: Fact, line: BudgetEntry) -> Fact | None:
    """How the step's playbook went changes nothing about its money."""
    if known.ended_at:
        return None
    return known.model_copy(update={"failed": line.failed, "ended_at": line.time.timestamp()})


CHANGES: Mapping[tuple[FactState | None, str], Callable[[Fact, BudgetEntry], Fact | None]] = {
    ("open", "settle"): _settle,
    ("open", "release"): _release,
    ("open", "expire"): _expire,
    ("unknown", "settle"): _settle,
    ("unknown", "release"): _release,
    ("settled", "settle"): _settle_what_was_free,
    ("open", "ended"): _end,
    ("unknown", "ended"): _end,
    ("settled", "ended"): _end,
    (None, "settle"): _settle,
    (None, "release"): _release,
}
