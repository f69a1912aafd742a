"""A running case keeps its charter version, whenever another version is promoted.

The whole life of a case through all stages: it asks for research, then for a refund, and a person approves. A new
version is promoted after each of its records in turn, once with the same workers and once with new ones.
"""

from collections import deque
from collections.abc import Callable

import pytest

from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.provenance import payload_sha256
from nightdesk.schemas.records import ApprovalReply, AuditRecord, Case, Decision, Event, Record
from nightdesk.schemas.topics import ACT, APPROVALS, AUDIT, BUDGET, BY_NAME, DECIDE, INGEST, TIMERS, Topic
from nightdesk.streams.control import Control
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.decide import Decide
from nightdesk.streams.stages.ingest import Ingest
from tests.processors.examples import NOW, answer, compiled, event, reply
from tests.streams.stages.stage_harness import Bench, Clock, in_force, order, words
from tests.streams.stages.test_decide import Model
from tests.streams.stages.world import World

BEGUN = compiled()
# Another prompt and another price, and the refund would not pass.
LATER_VERSION = compiled(
    ("description: Answers tickets.", "description: Refuses everything."),
    ("decision.parameters.amount <= 100.0", "decision.parameters.amount <= 1.0"),
    ("per_case_usd: 0.50", "per_case_usd: 0.10"),
)


class Desk:
    """All stages over one log and one control. Every record is delivered in turn; timers stay where they are."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.model = Model(reply(answer("look")), *(reply(answer("refund", amount=50.0)) for _ in range(3)))
        self.world = World()
        self.said: list[tuple[Topic, Record]] = []
        self._log: deque[tuple[Topic, Record]] = deque()
        self._benches = self._workers()

    def _workers(self) -> dict[Topic, Bench]:
        clock = Clock()
        act = Bench(Act(self.control, self.world, clock))
        return {
            INGEST: Bench(Ingest(self.control, clock)),
            BUDGET: Bench(Budget(self.control, clock)),
            DECIDE: Bench(Decide(self.control, self.model, clock)),
            ACT: act,
            APPROVALS: act,
        }

    def replace_workers(self, control: Control) -> None:
        """New processes, which know only the orders that are still on the topic."""
        self.control, dead = control, self._benches
        self._benches = self._workers()
        for topic, bench in self._benches.items():
            bench.inherit(dead[topic])

    async def live(self, first: Event, after_each: Callable[[int], None]) -> None:
        """Deliver until nothing is emitted any more, and approve what waits for a person."""
        self._log.append((INGEST, first))
        delivered = 0
        while self._log:
            topic, record = self._log.popleft()
            for name, said in words(await self._benches[topic].take(topic, record, offset=delivered)):
                self._take(BY_NAME[name.removeprefix("t.")], said)
            after_each(delivered)
            delivered += 1

    def _take(self, topic: Topic, record: Record) -> None:
        self.said.append((topic, record))
        if topic not in (AUDIT, TIMERS):
            self._log.append((topic, record))
        if isinstance(record, AuditRecord) and (record.kind, record.status) == ("approval", "needs_approval"):
            self._log.append((APPROVALS, self._approval()))

    def _approval(self) -> ApprovalReply:
        held = next(record for _, record in reversed(self.said) if isinstance(record, Decision))
        return ApprovalReply(
            decision_id=held.decision_id,
            subject=held.subject,
            verdict="approve",
            payload_sha256=payload_sha256(held),
            person="ada",
            time=NOW,
        )

    def versions(self) -> set[str]:
        """Every charter version that was named."""
        cases = [record for _, record in self.said if isinstance(record, Case)]
        cases += [record.case for _, record in self.said if isinstance(record, Decision)]
        audited = {record.charter_version for _, record in self.said if isinstance(record, AuditRecord)}
        return {case.charter_version for case in cases} | {version for version in audited if version}


def _promote(control: Control, charter: CompiledCharter) -> None:
    name, content = f"desk/{charter.version}", charter.charter.to_json()
    control.apply(order("charter", "desk", name, charter=content, charter_version=charter.version))
    control.apply(order("promote", "desk", "desk/promoted", charter_version=charter.version))


async def _lived(promoted_after: int, *, replaced: bool = False) -> tuple[Desk, int]:
    """The desk after a whole case, and the number of delivered records."""
    desk, delivered = Desk(in_force(BEGUN)), 0

    def after_each(number: int) -> None:
        nonlocal delivered
        delivered = number + 1
        if number == promoted_after:
            _promote(desk.control, LATER_VERSION)
            if replaced:
                desk.replace_workers(in_force(BEGUN, LATER_VERSION))

    await desk.live(event(customer="c-1"), after_each)
    return desk, delivered


NEVER = -1
# Event, money, case, research and its settlement; money, case, refund and its settlement; then the approval.
RECORDS = 9


@pytest.mark.parametrize("replaced", [False, True], ids=["workers go on", "workers are new"])
@pytest.mark.parametrize("promoted_after", range(RECORDS))
async def test_a_case_ends_as_it_began_whenever_another_version_comes(promoted_after: int, replaced: bool) -> None:
    undisturbed, _ = await _lived(NEVER)
    desk, _ = await _lived(promoted_after, replaced=replaced)
    assert desk.said == undisturbed.said
    assert desk.model.asked == undisturbed.model.asked
    assert desk.world.calls == undisturbed.world.calls


async def test_the_case_has_all_these_records() -> None:
    """Otherwise the test above would promote too late to disturb anything."""
    desk, delivered = await _lived(NEVER)
    assert delivered == RECORDS + 1
    assert desk.world.handlers == ["history", "pay"]
    assert desk.versions() == {BEGUN.version}


async def test_the_next_event_has_the_new_version() -> None:
    desk = Desk(in_force(BEGUN, LATER_VERSION))
    await desk.live(event(customer="c-1"), lambda _: None)
    assert desk.versions() == {LATER_VERSION.version}
    assert desk.world.handlers == ["history"], "the refund is over what the new version allows"
