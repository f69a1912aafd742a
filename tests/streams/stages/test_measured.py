"""The gauges that stages derive from their tables: a new process derives the same, what is over is 0,
and an agent that moved to another worker is not shown.
"""

from datetime import timedelta

from prometheus_client import REGISTRY

from nightdesk.processors.ledger.entries import reservation
from nightdesk.processors.ledger.reserving import worst_price_microusd
from nightdesk.processors.provenance import payload_sha256
from nightdesk.schemas.records import ApprovalReply
from nightdesk.schemas.topics import ACT, APPROVALS, BUDGET
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.budget import Budget
from tests.processors.examples import NOW, case, compiled
from tests.streams.stages.stage_harness import Bench, Clock, in_force
from tests.streams.stages.world import World, decision

CHARTER = compiled()
REFUND = decision(case(CHARTER), "refund", amount=50.0)


def _gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def _approvals() -> tuple[float | None, float | None]:
    """How many wait, and for how long the oldest does."""
    waiting = _gauge("nightdesk_waiting_cases", stage="act", agent="desk", cause="approval")
    return waiting, _gauge("nightdesk_oldest_approval_seconds", agent="desk")


async def test_approvals_are_counted_until_they_are_answered() -> None:
    clock = Clock()
    bench = Bench(Act(in_force(CHARTER), World(), clock))
    await bench.take(ACT, REFUND)
    asked_for_s = (clock.now - REFUND.decided_at).total_seconds()
    clock.forward(600)
    bench.tick()
    assert _approvals() == (1, 600 + asked_for_s)

    successor = Bench(Act(in_force(CHARTER), World(), clock)).inherit(bench)
    clock.forward(60)
    successor.tick()
    assert _approvals() == (1, 660 + asked_for_s)

    shown = payload_sha256(REFUND)
    reply = {"decision_id": REFUND.decision_id, "subject": "t-1", "verdict": "reject", "person": "ada", "time": NOW}
    await successor.take(APPROVALS, ApprovalReply.model_validate({**reply, "payload_sha256": shown}), 3)
    clock.forward(60)
    successor.tick()
    assert _approvals() == (0, 0)


async def test_the_budget_that_is_left_is_what_may_still_be_reserved_today() -> None:
    clock = Clock()
    bench = Bench(Budget(in_force(CHARTER), clock))
    await bench.take(BUDGET, reservation(case(CHARTER, reserved_microusd=0), NOW))
    bench.tick()
    held = worst_price_microusd(CHARTER, case(CHARTER), NOW)
    whole = CHARTER.charter.budget.per_day_microusd
    assert _gauge("nightdesk_budget_left_usd", agent="desk") == (whole - held) / 1e6
    clock.now += timedelta(days=1)
    bench.tick()
    assert _gauge("nightdesk_budget_left_usd", agent="desk") == whole / 1e6


async def test_an_agent_that_another_worker_has_now_is_not_shown() -> None:
    clock, nothing = Clock(), Bench(Act(in_force(CHARTER), World(), Clock())).changelog
    act = Bench(Act(in_force(CHARTER), World(), clock))
    await act.take(ACT, REFUND)
    act.tick()
    assert _approvals()[0] == 1
    act.recover(nothing)
    act.tick()
    assert _approvals() == (None, None)

    budget = Bench(Budget(in_force(CHARTER), clock))
    await budget.take(BUDGET, reservation(case(CHARTER, reserved_microusd=0), NOW))
    budget.tick()
    assert _gauge("nightdesk_budget_left_usd", agent="desk") is not None
    budget.recover(nothing)
    budget.tick()
    assert _gauge("nightdesk_budget_left_usd", agent="desk") is None
