"""What waits before a model is asked is read from the stages' own rows."""

from collections.abc import Iterator
from datetime import timedelta

from nightdesk.operations.waiting_steps import grouped, listed
from nightdesk.processors.ledger.entries import reservation, returned
from nightdesk.schemas.records import Case
from nightdesk.schemas.topics import BUDGET, DECIDE, INGEST
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.ingest import Ingest
from tests.processors.examples import NOW, case, compiled, event
from tests.streams.stages.stage_harness import PARTITION, Bench, Clock, in_force, order, said

RATED = compiled(("per_subject: 5/1h", "per_subject: 1/1h, agent: 2/1h"))


def _rows(bench: Bench) -> Iterator[bytes]:
    [waiting] = [table for table in bench.stage.tables if table.name == "waiting"]
    return (row.model_dump_json().encode() for _, row in waiting.items(PARTITION))


def _case(number: int) -> Case:
    return case(RATED, event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"}), reserved_microusd=0)


async def _waiting() -> tuple[list[bytes], Case]:
    """Rows of both stages: a case over the limit of its subject, three over that of the agent, and one without a
    provider, which is given beside them.
    """
    clock = Clock()
    budget, ingest = Bench(Budget(in_force(RATED), clock)), Bench(Ingest(in_force(RATED), clock))
    for number in range(2):
        await ingest.take(INGEST, event().model_copy(update={"id": f"e-{number}"}), number)
    clock.forward(60)
    [asked] = said(await budget.take(BUDGET, reservation(_case(0), clock()), 0), DECIDE, Case)
    await budget.take(BUDGET, reservation(_case(1), clock()), 1)
    clock.forward(60)
    for number in range(2, 5):
        await budget.take(BUDGET, reservation(_case(number), clock()), number)
    clock.forward(60)
    await budget.take(BUDGET, returned(asked, "unavailable", "anthropic overloaded", 0, clock()), 9)
    return [*_rows(budget), *_rows(ingest)], asked


async def test_what_waits_is_shown_by_agent_and_gate_with_the_longest_wait_first() -> None:
    found = grouped((await _waiting())[0])
    assert [(group.gate, group.steps, group.subject) for group in found] == [
        ("per_subject", 1, "t-1"),
        ("rate", 3, "t-2"),
        ("unavailable", 1, "t-0"),
    ]
    of_subject, of_rate, of_models = found
    assert (of_subject.since, of_subject.until) == (NOW, NOW + timedelta(hours=24))
    assert of_rate.since == NOW + timedelta(minutes=2)
    assert str(of_subject).startswith("1 step of desk waits for its turn among the cases of its subject, t-1 since")
    assert str(of_rate).startswith("3 steps of desk wait for the agent's rate limit, t-2 since 2026-11-20 12:02:00 UTC")
    assert of_models.reason == "anthropic overloaded"


async def test_the_waits_of_a_subject_an_event_or_a_case_are_found_by_any_of_its_ids() -> None:
    rows, asked = await _waiting()
    [wait] = listed(rows, {asked.case_id})
    assert [wait] == listed(rows, {"t-0"}) == listed(rows, {"e-0", "nobody"})
    assert (wait.case_id, wait.agent, wait.subject, wait.step) == (asked.case_id, "desk", "t-0", 0)
    assert (wait.gate, wait.reason) == ("unavailable", "anthropic overloaded")
    # At both stages, the longest wait first.
    assert [(each.gate, each.waits_for) for each in listed(rows, {"t-2", "t-1"})] == [
        ("per_subject", "its turn among the cases of its subject"),
        ("rate", "the agent's rate limit"),
    ]
    assert listed(rows, {"nobody"}) == listed(rows, ()) == []


async def test_what_an_order_holds_has_no_end_by_the_clock() -> None:
    clock, control = Clock(), in_force(RATED)
    control.apply(order("pause", "desk", "desk", reason="wrong answers", time=NOW))
    budget = Bench(Budget(control, clock))
    await budget.take(BUDGET, reservation(_case(0), clock()), 0)
    [group] = grouped(_rows(budget))
    assert group.gate == "paused"
    assert "since 2026-11-20 12:00:00 UTC, for as long as the order stands: pause by" in str(group)


def test_nothing_waits() -> None:
    assert grouped([]) == []
