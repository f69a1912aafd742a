"""What an order keeps from acting waits for the order: stored once, released oldest first and at a bounded rate."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors.execution import BREAKER, order_against
from nightdesk.schemas.approval_details import ApprovalRequestDetail
from nightdesk.schemas.audit import HaltDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import ApprovalReply, AuditRecord, ControlCommand, Decision, Timer
from nightdesk.schemas.topics import ACT, APPROVALS, TIMERS
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.halted import RELEASED_A_SECOND
from tests.effort import examples
from tests.processors.examples import NOW, case, compiled, event
from tests.streams.stages.stage_harness import PARTITION, Bench, Clock, audited, in_force, order, said
from tests.streams.stages.world import AWAY, BUSY, World, decision

ESCALATION = "    - {do: pay, with: {amount: 1}, irreversible: true}\n"
CHARTER = compiled(
    ("approval: always", "approval: never"),
    ("  escalate:\n    kind: escalate\n", "  escalate:\n    kind: escalate\n    writes: true\n"),
    ("playbooks:\n", f"playbooks:\n  escalate:\n{ESCALATION}"),
)
PAUSE = order("pause", "desk", "desk", reason="stocktaking")
STOP = order("stop_all", "*", "*", reason="night")
RESUME, RESUME_ALL = order("resume", "desk", "desk"), order("resume", "*", "*")


def _respond(number: int) -> Decision:
    return decision(case(CHARTER, event().model_copy(update={"id": f"e-{number}"})), text=f"answer {number}")


def _escalate(number: int) -> Decision:
    of = case(CHARTER, event().model_copy(update={"id": f"x-{number}"}))
    return decision(of, "escalate", "escalate", reason="look")


@dataclass
class Desk:
    """The act stage, and the log that it writes to itself: what it releases is read again."""

    control: Control = field(default_factory=lambda: in_force(CHARTER))
    world: World = field(default_factory=World)
    clock: Clock = field(default_factory=Clock)
    offset: int = 0

    def __post_init__(self) -> None:
        self.bench = self._begun()

    def _begun(self) -> Bench:
        return Bench(Act(self.control, self.world, self.clock))

    def restart(self) -> None:
        self.bench = self._begun().inherit(self.bench)

    async def take(self, taken: Decision) -> StagedWrites:
        self.offset += 1
        return await self.bench.take(ACT, taken, self.offset)

    def tick(self) -> list[Decision]:
        return said(self.bench.tick(), ACT, Decision)

    def in_table(self) -> int:
        return self.bench.tables["halted"].count(PARTITION)


async def test_a_paused_decision_is_stored_once_and_sets_no_timer() -> None:
    desk = Desk()
    desk.control.apply(PAUSE)
    rows: dict[str, AuditRecord] = {}
    for _ in range(3):
        writes = await desk.take(_respond(1))
        assert said(writes, TIMERS, Timer) == []
        rows |= {record.record_id: record for record in audited(writes)}
    for _ in range(8 * 60):  # a night of ticks
        desk.clock.forward(60)
        assert desk.bench.tick().messages == []
    [row] = rows.values()
    assert (row.kind, row.status, read(HaltDetail, row.detail)) == ("queued", "waiting", HaltDetail(cause="order"))
    assert "stocktaking" in row.reason
    assert (desk.in_table(), desk.world.calls) == (1, [])


async def test_after_a_resume_it_goes_on_once_and_the_audit_says_how_long_it_waited() -> None:
    desk = Desk()
    desk.control.apply(PAUSE)
    await desk.take(_respond(1))
    desk.clock.forward(3600)
    desk.control.apply(RESUME)
    writes = desk.bench.tick()
    [again] = said(writes, ACT, Decision)
    [row] = audited(writes)
    assert (again, row.status) == (_respond(1), "running")
    assert read(HaltDetail, row.detail) == HaltDetail(cause="order", waited_s=3600)
    assert (desk.tick(), desk.in_table()) == ([], 0)
    [acted] = audited(await desk.take(again))
    assert (acted.status, desk.world.handlers) == ("completed", ["send", "note"])


async def test_the_oldest_goes_first_at_a_bounded_rate_and_newcomers_wait_behind() -> None:
    desk = Desk()
    desk.control.apply(PAUSE)
    first = [_respond(number) for number in range(2 * RELEASED_A_SECOND)]
    for taken in first:
        await desk.take(taken)
        desk.clock.forward(1)
    desk.control.apply(RESUME)
    assert desk.tick() == first[:RELEASED_A_SECOND]
    assert desk.tick() == [], "not all at once"
    newcomer = _respond(99)
    assert [record.status for record in audited(await desk.take(newcomer))] == ["waiting"]
    desk.clock.forward(0.5)
    assert desk.tick() == first[RELEASED_A_SECOND : RELEASED_A_SECOND + RELEASED_A_SECOND // 2]
    desk.clock.forward(60)
    assert desk.tick() == [*first[RELEASED_A_SECOND + RELEASED_A_SECOND // 2 :], newcomer]
    assert [record.status for record in audited(await desk.take(_respond(100)))] == ["completed"], "nobody waits"


async def test_an_escalation_passes_a_pause_and_waits_for_the_end_of_a_stop_of_all() -> None:
    desk = Desk()
    desk.control.apply(PAUSE)
    [record] = audited(await desk.take(_escalate(1)))
    assert (record.status, desk.world.handlers) == ("escalated", ["pay"])
    desk.control.apply(STOP)
    await desk.take(_escalate(2))
    await desk.take(_respond(3))
    desk.control.apply(RESUME_ALL)
    assert desk.tick() == [_escalate(2)], "the pause of the agent still keeps the answer"
    desk.control.apply(RESUME)
    assert desk.tick() == [_respond(3)]


@pytest.mark.parametrize("dies", [False, True], ids=["emitted and forgotten", "emitted, and dead before it was"])
async def test_what_is_released_into_another_pause_waits_again_and_is_not_lost(dies: bool) -> None:
    """The new wait begins before the end of the first is written, and must not end with it."""
    desk = Desk()
    desk.control.apply(PAUSE)
    await desk.take(_respond(1))
    desk.control.apply(RESUME)
    writes = desk.bench.tick(dies=True)  # emitted, and not deleted yet
    [again] = said(writes, ACT, Decision)
    desk.control.apply(PAUSE)
    if dies:
        desk.restart()
        await desk.take(again)
        assert desk.in_table() == 1, "it waits still"
    else:
        await desk.take(again)
        assert desk.in_table() == 2
    desk.control.apply(RESUME)
    desk.clock.forward(10)
    released = desk.tick()
    assert set(released) == {again}
    for copy in released:
        await desk.take(copy)
    assert (desk.world.handlers, desk.in_table()) == (["send", "note"], 0 if dies else 1)


async def test_a_new_process_releases_what_an_older_one_left_in_the_same_order() -> None:
    desk = Desk()
    desk.control.apply(PAUSE)
    waiting = [_respond(number) for number in range(5)]
    for taken in waiting:
        await desk.take(taken)
        desk.clock.forward(1)
    desk.restart()
    assert desk.tick() == []
    desk.control.apply(RESUME)
    assert desk.tick() == waiting


SLOWLY_STALE = ("limits: {per_subject: 5/1h}", "limits: {per_subject: 5/1h}\nbounds: {stale_after: 30d}")
WEEKEND_S = 62 * 3600
DAY_S = 86_400
AWAY_FOR_A_WHILE = [AWAY] * BREAKER.failures_to_open


async def test_a_follow_up_is_due_so_long_after_the_answer_and_not_after_the_decision() -> None:
    reminds = (
        '    - {do: note, with: {reply: "{{ steps.reply.id }}"}}\n',
        "    - {do: remind, with: {after: 48h, type: ticket.followup}}\n",
    )
    charter = compiled(reminds, ("handlers:\n", "handlers:\n  remind: {type: remind}\n"), SLOWLY_STALE)
    desk = Desk(control=in_force(charter))
    desk.control.apply(PAUSE)
    await desk.take(decision(case(charter), text="tomorrow"))
    desk.clock.forward(WEEKEND_S)
    desk.control.apply(RESUME)
    [again] = desk.tick()
    desk.clock.forward(5)
    for _ in range(2):  # read again it is due at the same time
        [timer] = said(await desk.take(again), TIMERS, Timer)
        assert timer.due_at == NOW + timedelta(seconds=WEEKEND_S + 5, hours=48)
        desk.clock.forward(60)


async def test_a_system_that_was_away_is_not_given_up_for_the_time_of_a_pause() -> None:
    charter = compiled(SLOWLY_STALE)
    desk = Desk(control=in_force(charter), world=World(send=[*AWAY_FOR_A_WHILE]))
    answer = decision(case(charter), text="tomorrow")
    for _ in AWAY_FOR_A_WHILE:
        desk.clock.forward(3600)
        await desk.take(answer)
    desk.control.apply(order("pause", "desk", "desk", time=desk.clock.now))
    desk.tick()
    desk.clock.forward(3600)
    await desk.take(answer)
    desk.clock.forward(DAY_S)
    desk.control.apply(order("resume", "desk", "desk", time=desk.clock.now))
    [again] = desk.tick()
    assert [record.status for record in audited(await desk.take(again))] == ["completed"]


async def test_without_a_pause_it_is_given_up() -> None:
    charter = compiled(SLOWLY_STALE)
    desk = Desk(control=in_force(charter), world=World(send=[*AWAY_FOR_A_WHILE]))
    answer = decision(case(charter), text="tomorrow")
    for _ in AWAY_FOR_A_WHILE:
        await desk.take(answer)
    desk.clock.forward(DAY_S)
    [record] = audited(await desk.take(answer))
    assert "desk has been away since" in record.reason


@pytest.mark.parametrize(
    ("paused_s", "bounds", "ends"),
    [
        (8 * 3600, "", "completed"),
        (WEEKEND_S, "", "needs_approval"),
        (WEEKEND_S, "bounds: {stale_after: 3d}", "completed"),
        (WEEKEND_S, "bounds: {when_stale: drop}", "refused"),
        (8 * 3600, "bounds: {stale_after: 4h, when_stale: drop}", "refused"),
    ],
)
async def test_what_was_decided_before_a_weekend_is_not_sent_as_if_it_were_fresh(
    paused_s: int, bounds: str, ends: str
) -> None:
    charter = compiled(("limits: {per_subject: 5/1h}", f"limits: {{per_subject: 5/1h}}\n{bounds}"))
    desk = Desk(control=in_force(charter))
    desk.control.apply(PAUSE)
    await desk.take(decision(case(charter), text="tomorrow"))
    desk.clock.forward(paused_s)
    desk.control.apply(RESUME)
    [again] = desk.tick()
    [record] = audited(await desk.take(again))
    assert (record.status, bool(desk.world.calls)) == (ends, ends == "completed")
    if ends != "completed":
        assert "bounds.stale_after: the case is" in record.reason


async def test_a_person_who_looked_at_a_stale_decision_makes_it_fresh() -> None:
    desk = Desk()
    desk.control.apply(PAUSE)
    await desk.take(_respond(1))
    desk.clock.forward(WEEKEND_S)
    desk.control.apply(RESUME)
    [again] = desk.tick()
    [asked] = audited(await desk.take(again))
    shown = read(ApprovalRequestDetail, asked.detail)
    assert shown is not None
    reply = ApprovalReply(
        decision_id=again.decision_id,
        subject=again.subject,
        verdict="approve",
        payload_sha256=shown.payload_sha256,
        person="jo",
        time=desk.clock.now,
    )
    assert audited(await desk.bench.take(APPROVALS, reply, 1))[-1].status == "completed"


async def test_a_playbook_that_was_begun_is_finished_however_old_it_is() -> None:
    desk = Desk()
    desk.world.answers["note"] = [BUSY]
    await desk.take(_respond(1))
    desk.clock.forward(WEEKEND_S)
    [record] = audited(await desk.take(_respond(1)))
    assert (record.status, desk.world.handlers) == ("completed", ["send", "note", "note"])


async def test_an_escalation_is_never_too_old() -> None:
    desk = Desk()
    desk.clock.forward(WEEKEND_S)
    [record] = audited(await desk.take(_escalate(1)))
    assert record.status == "escalated"


@pytest.mark.parametrize(
    ("orders", "kept", "escalation_kept"),
    [
        ((), None, None),
        ((PAUSE,), PAUSE, None),
        ((order("pause", "*", "*"),), order("pause", "*", "*"), None),
        ((order("stop_all", "desk", "desk"),), order("stop_all", "desk", "desk"), None),
        ((STOP, PAUSE), STOP, STOP),
    ],
)
def test_which_order_keeps_what(
    orders: tuple[ControlCommand, ...], kept: ControlCommand | None, escalation_kept: ControlCommand | None
) -> None:
    assert order_against(orders, escalates=False) == kept
    assert order_against(orders, escalates=True) == escalation_kept


def test_a_stop_of_all_is_seen_behind_a_pause_of_the_agent() -> None:
    control = in_force(CHARTER)
    control.apply(order("pause", "*", "*"))
    control.apply(order("stop_all", "desk", "desk"))
    assert [given.kind for given in control.halts("desk")] == ["stop_all", "pause"]


ORDERS = {"pause": PAUSE, "resume": RESUME, "stop": STOP, "resume all": RESUME_ALL}
MOVES = st.lists(
    st.sampled_from(["respond", "escalate", "again", "tick", "dies", "restart", "read", *ORDERS]),
    min_size=5,
    max_size=40,
)


@dataclass
class Night(Desk):
    """Moves in any order; `log` is what lies on the act topic and was not read yet."""

    decided: list[Decision] = field(default_factory=list)
    log: list[Decision] = field(default_factory=list)

    async def move(self, number: int, move: str) -> None:
        if move in ORDERS:
            self.control.apply(ORDERS[move])
        elif move == "again":
            self.log += self.decided[-1:]
        elif move == "read":
            await self.read()
        elif move == "restart":
            self.restart()
        elif move in ("tick", "dies"):
            self.let_go(dies=move == "dies")
        else:
            self.decided.append(_respond(number) if move == "respond" else _escalate(number))
            self.log.append(self.decided[-1])

    async def read(self) -> None:
        while self.log:
            await self.take(self.log.pop(0))

    def let_go(self, *, dies: bool) -> None:
        self.clock.forward(0.3)
        self.log += said(self.bench.tick(dies=dies), ACT, Decision)
        if dies:
            self.restart()


@settings(max_examples=examples(60), deadline=None)
@given(MOVES)
async def test_whatever_is_ordered_and_whoever_dies_each_is_done_once(moves: list[str]) -> None:
    night = Night()
    for number, move in enumerate(moves):
        await night.move(number, move)
    for move in ("resume", "resume all", *(["read", "tick"] * (4 * len(moves)))):
        await night.move(0, move)
    done = {True: ["pay"], False: ["send", "note"]}
    assert sorted(night.world.handlers) == sorted(
        handler for taken in night.decided for handler in done[taken.kind == "escalate"]
    )
    assert (night.in_table(), night.log) == (0, [])
