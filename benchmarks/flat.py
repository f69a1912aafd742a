"""`python -m benchmarks.flat`: what one admission and one settlement cost, with few and with many others in the period.

Both run through the stages' own tables in this process, without a broker: the time is the processor's, and the bytes
are those that the changelog gets. The cost must not grow with the number of others.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Annotated, Any

import typer

from nightdesk.messaging.changelog import ENVELOPE
from nightdesk.processors import ledger
from nightdesk.processors.ledger import Fact
from nightdesk.processors.quantities import Rate
from nightdesk.schemas.records import BudgetEntry, Case
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.accounts import Accounts
from nightdesk.streams.stages.subject_rates import Admitted, SubjectRates, queue_of
from tests.processors.examples import case, compiled
from tests.streams.stages.stage_harness import CODEC

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SIZES = (100, 1_000, 20_000, 500_000)
ROUNDS, REPEATED = 9, 200
# What an operation is called with; its writes are the second.
Arguments = tuple[Any, StagedWrites, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one operation: the median of several rounds."""

    microseconds: float
    written_bytes: int


def per_subject(size: int) -> Cost:
    """Admit one more case of a subject that has `size` in its period, and stage its entry."""
    rates, first, began = SubjectRates(), case(compiled()), NOW.timestamp() - 3_600
    rate = Rate(count=size + ROUNDS * REPEATED + 1, per_seconds=86_400)
    rates.table.store.begin_term(0, 1)

    def prepare(number: int) -> tuple[Case, StagedWrites, float]:
        return first.model_copy(update={"case_id": f"{number:036d}"}), _writes(), began + number / 1_000

    def admit(one: Case, writes: StagedWrites, now: float) -> None:
        admitted = rates.admit(one.case_id, queue_of(one), rate, writes, now)
        assert isinstance(admitted, Admitted)
        rates.count(0, admitted)

    for number in range(size):
        admit(*prepare(number))
    return _cost(lambda number: prepare(size + number), admit)


def settle(size: int) -> Cost:
    """Settle one step of an agent that has `size` cases on its day, and stage its fact."""
    accounts = Accounts()
    accounts.table.store.begin_term(0, 1)
    facts = [_open(number) for number in range(size + ROUNDS * REPEATED)]
    for fact in facts:
        accounts.of("desk").replace(None, fact)

    def prepare(number: int) -> tuple[Fact, StagedWrites, BudgetEntry]:
        fact = facts[(number * 7919) % len(facts)]
        return fact, _writes(), _settlement(fact)

    def settled(fact: Fact, writes: StagedWrites, entry: BudgetEntry) -> None:
        after = ledger.after(fact, entry)
        assert after is not None
        accounts.remember(after, fact, writes)

    return _cost(prepare, settled)


def _open(number: int) -> Fact:
    at = NOW.timestamp() - 3_600 + number / 1_000
    return Fact(
        agent="desk", case_id=str(number), state="open", day="2026-01-01", at=at, reserved_microusd=10, until=at + 600
    )


def _settlement(fact: Fact) -> BudgetEntry:
    return BudgetEntry(
        entry_id=f"settle-{fact.case_id}",
        kind="settle",
        agent=fact.agent,
        case_id=fact.case_id,
        amount_microusd=7,
        tokens=100,
        time=NOW,
    )


def _writes() -> StagedWrites:
    return StagedWrites(CODEC, "", 0)


def _cost(prepare: Callable[[int], Arguments], operation: Callable[..., None]) -> Cost:
    """The processor time of the operation: the median of the rounds, each the mean of many."""
    rounds, written = [], 0
    for round_number in range(ROUNDS):
        prepared = [prepare(round_number * REPEATED + number) for number in range(REPEATED)]
        gc.collect()
        gc.disable()
        began = time.thread_time()
        for arguments in prepared:
            operation(*arguments)
        rounds.append((time.thread_time() - began) / REPEATED * 1e6)
        gc.enable()
        written = max(written, *(_bytes_of(writes) for _, writes, _ in prepared))
    return Cost(median(rounds), written)


def _bytes_of(writes: StagedWrites) -> int:
    return sum(len(put.key) + ENVELOPE.size + len(put.value or b"") for put in writes.puts)


def main(
    sizes: Annotated[
        list[int] | None, typer.Option("--size", min=1, help="others in the period; may be repeated")
    ] = None,
) -> None:
    """Print a line for each size."""
    for size in sizes or SIZES:
        admission, settlement = per_subject(size), settle(size)
        print(
            f"{size:>8,} others: per_subject {admission.microseconds:.1f} us, {admission.written_bytes} bytes; "
            f"settle {settlement.microseconds:.1f} us, {settlement.written_bytes} bytes"
        )


if __name__ == "__main__":
    typer.run(main)
