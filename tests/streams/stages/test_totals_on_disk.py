"""What the stages derive from their tables is the same from the totals on disk as from all entries in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.messaging.producer import Span
from nightdesk.processors.ledger import Fact
from nightdesk.processors.quantities import Rate
from nightdesk.streams.api import StagedWrites, Table
from nightdesk.streams.runtime.state.disk_entries import DiskEntries
from nightdesk.streams.runtime.state.state_folder import StateFolder
from nightdesk.streams.runtime.state.stored_form import Identity
from nightdesk.streams.stages.accounts import Accounts
from nightdesk.streams.stages.subject_rates import SubjectRates, queue_of
from tests.effort import examples
from tests.processors.examples import case, compiled
from tests.streams.stages.stage_harness import CODEC

IDENTITY = Identity(cluster_id="c", topic_id="t", program_format=1)
NOW = 1_000_000.0


def fail(reason: str) -> NoReturn:
    raise AssertionError(reason)


@contextmanager
def on_disk(path: Path, *tables: Table[Any]) -> Iterator[None]:
    """Keep the only partition of the tables there."""
    folder = StateFolder(path, 16 * 1024 * 1024, fail)
    for table in tables:
        table.store.keep_in(0, DiskEntries(folder.database(0), table.name, IDENTITY, table.store.adds))
        table.store.begin_term(0, 1)
    try:
        yield
    finally:
        folder.close()


def in_memory(table: Table[Any]) -> None:
    table.store.begin_term(0, 1)


def write(writes: StagedWrites, *, acknowledged: bool = True) -> None:
    """Submit what is staged."""
    for put in writes.puts:
        message = put.store.write(put)
        entries = put.store._partitions[0]
        if acknowledged and isinstance(entries, DiskEntries):
            offset = entries.progress.offset
            put.store.acknowledged(0, [message], Span(offset, offset, 1))
    writes.puts.clear()


STATES = st.sampled_from(("open", "settled", "unknown", "refused", "escalated", "returned"))
FACTS = st.builds(
    Fact,
    agent=st.sampled_from(("one", "two")),
    case_id=st.sampled_from("abcd"),
    state=STATES,
    day=st.sampled_from(("2026-11-29", "2026-11-30")),
    at=st.sampled_from((NOW - 90_000, NOW - 10, NOW)),
    reserved_microusd=st.integers(0, 50),
    spent_microusd=st.integers(0, 90),
    corrected_microusd=st.none() | st.integers(0, 9),
    tokens=st.integers(0, 9),
    step=st.integers(0, 1),
    event_type=st.sampled_from(("", "a\0b")),
    action=st.sampled_from(("", "go")),
    held_actions=st.sampled_from(((), ("go", "stay"))),
    returns=st.integers(0, 1),
    settled_at=st.sampled_from((0.0, NOW - 5)),
)


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(st.tuples(FACTS, st.booleans(), st.booleans()), max_size=25))
def test_accounts_are_the_same_from_totals_as_from_facts(
    tmp_path_factory: pytest.TempPathFactory, changes: Sequence[tuple[Fact, bool, bool]]
) -> None:
    disk, memory = Accounts(), Accounts()
    in_memory(memory.table)
    writes = StagedWrites(CODEC, "t.", 0)
    with on_disk(tmp_path_factory.mktemp("totals"), disk.table):
        for fact, is_deleted, acknowledged in changes:
            for accounts in (disk, memory):
                before = accounts.fact(0, fact.agent, fact.case_id, fact.step)
                if is_deleted and before is not None and before.state != "open":
                    accounts._on_expired(f"{_key(fact)}", before, writes)
                elif not is_deleted:
                    accounts.remember(fact, before, writes)
                write(writes, acknowledged=acknowledged)
        known = [dict(accounts._accounts) for accounts in (disk, memory)]
        recent = [fact for facts in disk.recovered(NOW, 60.0) for fact in facts]
        everything = [fact for facts in memory.recovered(NOW, 60.0) for fact in facts]
    for agent in ("one", "two"):
        held, derived = memory.of(agent), disk.of(agent)
        assert derived.balances == held.balances == known[0].get(agent, held).balances
        assert list(derived.admitted._admissions) == list(held.admitted._admissions)
    since = [fact for fact in everything if max(fact.at, fact.settled_at) >= NOW - 60]
    assert sorted(recent, key=_key) == sorted(since, key=_key)


def _key(fact: Fact) -> str:
    from nightdesk.streams.stages.accounts import _key as key

    return key(fact.agent, fact.case_id, fact.step)


@settings(max_examples=examples(15), deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(("s1", "s2")), st.booleans()), max_size=20))
def test_a_subjects_rate_is_the_same_on_disk(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[str, str, bool]]
) -> None:
    """Each admission gives the same answer, also after starts; whoever was admitted on disk was in memory."""
    disk, memory = SubjectRates(), SubjectRates()
    in_memory(memory.table)
    charter, rate, now = compiled(), Rate(count=2, per_seconds=10), NOW
    writes = StagedWrites(CODEC, "t.", 0)
    with on_disk(tmp_path_factory.mktemp("rates"), disk.table):
        for number, subject, starts in steps:
            now += 1.5
            asks = case(charter, case_id=number, subject=subject)
            answers = []
            for rates in (disk, memory):
                if starts:
                    assert list(rates.recovered()) in ([], [None])
                rates.table.expire(0, writes, now)
                write(writes)
                answer = rates.admit(asks.case_id, queue_of(asks), rate, writes, now)
                if not isinstance(answer, float):
                    rates.count(0, answer)
                write(writes)
                answers.append(answer)
            assert answers[0] == answers[1], queue_of(asks)
