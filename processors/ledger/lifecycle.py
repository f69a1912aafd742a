"""How an entry of the ledger changes a fact, as a table. `reserve` is not in it, because it needs a decision
(`admission.py`).

The first settlement of a step counts. A settlement that comes after the reservation expired or was deleted counts as
well: the money was spent, whether or not the reservation is still known.

A step that was given back waits, and what it may have cost is spent. Its next reservation includes that cost, so
the settlement is the cost of the whole step. A second entry about the same return changes nothing.
"""

from collections.abc import Callable, Mapping

from nightdesk.processors.ledger.facts import Fact, FactState, day_of
from nightdesk.schemas.records import BudgetEntry


def after(known: Fact | None, line: BudgetEntry) -> Fact | None:
    """The fact after `line`; None if the entry changes nothing."""
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
    changes = {
        "spent_microusd": line.amount_microusd,
        "tokens": line.tokens,
        "action": line.action,
        "settled_at": line.time.timestamp(),
        "low_confidence": line.low_confidence,
        "refused": line.refused,
        "undecided": line.undecided,
        "latency_ms": line.latency_ms,
    }
    return known.model_copy(update={**changes, "state": "settled"})


def _settle_what_was_free(known: Fact, line: BudgetEntry) -> Fact | None:
    """Settle a step for which nothing was reserved: the first settlement counts, a second one is a duplicate."""
    return None if known.settled_at else _settle(known, line)


def _settle_what_was_given_back(known: Fact, line: BudgetEntry) -> Fact:
    """Settle a step that was given back: a redelivered case was decided nevertheless."""
    return _settle(known, line)


def _give_back(known: Fact, line: BudgetEntry) -> Fact | None:
    case = line.case
    if case is None or case.returns <= known.returns:
        return None
    changes = {
        "state": "returned",
        "returns": case.returns,
        "spent_microusd": line.amount_microusd,
        "reason": line.reason,
    }
    return known.model_copy(update=changes)


def _give_back_what_was_free(known: Fact, line: BudgetEntry) -> Fact | None:
    return None if known.settled_at else _give_back(known, line)


def _expire(known: Fact, line: BudgetEntry) -> Fact:
    return known.model_copy(update={"state": "unknown", "settled_at": line.time.timestamp()})


def _end(known: Fact, line: BudgetEntry) -> Fact | None:
    """Note how the step's playbook ended, which does not change its money."""
    if known.ended_at:
        return None
    return known.model_copy(update={"failed": line.failed, "ended_at": line.time.timestamp()})


def _correct(known: Fact, line: BudgetEntry) -> Fact:
    """A person's correction replaces the provider's amount and the reservation. The last correction counts."""
    return known.model_copy(update={"corrected_microusd": line.amount_microusd})


CHANGES: Mapping[tuple[FactState | None, str], Callable[[Fact, BudgetEntry], Fact | None]] = {
    ("open", "settle"): _settle,
    ("open", "expire"): _expire,
    ("unknown", "settle"): _settle,
    ("settled", "settle"): _settle_what_was_free,
    ("open", "ended"): _end,
    ("unknown", "ended"): _end,
    ("settled", "ended"): _end,
    ("unknown", "correct"): _correct,
    ("settled", "correct"): _correct,
    (None, "settle"): _settle,
    ("returned", "settle"): _settle_what_was_given_back,
    ("open", "returned"): _give_back,
    ("unknown", "returned"): _give_back,
    ("settled", "returned"): _give_back_what_was_free,
    (None, "returned"): _give_back,
}
