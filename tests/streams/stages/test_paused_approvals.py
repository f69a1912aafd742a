"""An approval does not expire, and nobody is reminded of it, while its agent may not act anyway."""

from dataclasses import dataclass, field

import pytest

from nightdesk.processors.charter.actions import APPROVAL_EXPIRES_S
from nightdesk.processors.provenance import payload_sha256
from nightdesk.schemas.records import ApprovalReply, Case
from nightdesk.schemas.topics import ACT, APPROVALS, DECIDE
from nightdesk.streams.control import Control
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.held_table import LOOK_AGAIN_S
from tests.processors.examples import case, compiled
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, order, said
from tests.streams.stages.world import World, decision

CHARTER = compiled(("approval: always", "approval: always\n    approval_reminders: []"))
REFUND = decision(case(CHARTER), "refund", amount=50.0)
AN_HOUR_S = 3600


@dataclass
class Desk:
    control: Control = field(default_factory=lambda: in_force(CHARTER))
    world: World = field(default_factory=World)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.bench = Bench(Act(self.control, self.world, self.clock))

    def order(self, kind: str) -> None:
        self.control.apply(order(kind, "desk", "desk", time=self.clock.now))
        self.bench.tick()

    def restart(self) -> None:
        self.bench = Bench(Act(self.control, self.world, self.clock)).inherit(self.bench)

    def due(self, seconds: float = 0.0) -> list[ApprovalReply]:
        """What is due so many seconds later."""
        self.clock.forward(seconds)
        return said(self.bench.tick(), APPROVALS, ApprovalReply)


@pytest.mark.parametrize("restarts", [False, True])
async def test_an_approval_has_the_time_that_its_charter_says_however_long_the_agent_is_paused(restarts: bool) -> None:
    desk = Desk()
    await desk.bench.take(ACT, REFUND)
    assert desk.due(AN_HOUR_S) == []
    desk.order("pause")
    for _ in range(10):
        assert desk.due(APPROVAL_EXPIRES_S) == []
        if restarts:
            desk.restart()
    desk.order("resume")
    assert desk.due(APPROVAL_EXPIRES_S - AN_HOUR_S - LOOK_AGAIN_S) == []
    [expires] = desk.due(2 * LOOK_AGAIN_S)
    assert [record.kind for record in audited(await desk.bench.take(APPROVALS, expires, 1))][:1] == ["approval"]


async def test_what_was_approved_and_became_stale_in_a_pause_reaches_a_person() -> None:
    """Its card is answered already, so that nobody could answer if it were held again."""
    desk = Desk()
    await desk.bench.take(ACT, REFUND)
    desk.order("pause")
    reply = ApprovalReply(
        decision_id=REFUND.decision_id,
        subject=REFUND.subject,
        verdict="approve",
        payload_sha256=payload_sha256(REFUND),
        person="ada",
        time=desk.clock.now,
    )
    await desk.bench.take(APPROVALS, reply, 1)
    desk.clock.forward(62 * AN_HOUR_S)
    desk.order("resume")
    [following] = said(await desk.bench.take(ACT, REFUND, 2), DECIDE, Case)
    assert ("stale_after" in following.escalate_because, desk.world.calls) == (True, [])
    desk.clock.forward(AN_HOUR_S)
    assert said(await desk.bench.take(ACT, REFUND, 2), DECIDE, Case) == [following], "read again, it says the same"


async def test_an_answer_in_a_pause_counts_and_what_it_approves_waits_for_the_order() -> None:
    desk = Desk()
    await desk.bench.take(ACT, REFUND)
    desk.order("pause")
    desk.clock.forward(2 * APPROVAL_EXPIRES_S)
    reply = ApprovalReply(
        decision_id=REFUND.decision_id,
        subject=REFUND.subject,
        verdict="approve",
        payload_sha256=payload_sha256(REFUND),
        person="ada",
        time=desk.clock.now,
    )
    answered, waits = audited(await desk.bench.take(APPROVALS, reply, 1))
    assert (answered.kind, waits.status, desk.world.calls) == ("approval", "waiting", [])
    desk.clock.forward(AN_HOUR_S)
    desk.order("resume")
    await desk.bench.take(ACT, REFUND, 2)
    assert desk.world.handlers == ["pay"]
