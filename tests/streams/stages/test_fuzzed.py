"""Whatever field of a record is at or beyond its bound, the stage goes on: the record is handled or refused, nothing
that a later tick or a restart does fails of it, and the stage's memory is what its tables say.

The guard makes a dead letter of what is refused. What raises in a tick or in recovery would end the process.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest

from nightdesk.processors.ledger.entries import closing, reservation, returned
from nightdesk.processors.notifications import Batch, Message, RoutePolicy
from nightdesk.processors.playbook import StepResult
from nightdesk.processors.provenance import payload_sha256
from nightdesk.schemas.bounds import KEY_BYTES_AT_MOST
from nightdesk.schemas.codec import Undecodable
from nightdesk.schemas.records import (
    ApprovalReply,
    CancelCondition,
    Notification,
    RateRequest,
    Record,
    SubjectEvent,
    Timer,
)
from nightdesk.schemas.topics import (
    ACT,
    APPROVALS,
    AUDIT,
    BUDGET,
    NOTIFICATIONS,
    RATE_GRANTS,
    RATE_REQUESTS,
    SUBJECT_EVENTS,
    TIMERS,
    Topic,
)
from nightdesk.streams.api import Clock as StageClock
from nightdesk.streams.api import Stage, StagedWrites
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.notify import Notify
from nightdesk.streams.stages.timer_records import came
from nightdesk.streams.stages.timers import Timers
from tests.effort import examples
from tests.processors.examples import NOW, case, compiled, event
from tests.streams import audit_samples
from tests.streams.stages.fuzzed import mutants
from tests.streams.stages.stage_harness import CODEC, TRACE, Bench, Clock, in_force, words
from tests.streams.stages.world import World, decision

CHARTER = compiled(("limits: {per_subject: 5/1h}", "limits: {per_subject: 5/1h, actions: {refund: 3/1h}}"))
CONTROL = in_force(CHARTER)
DAYS = (0, 3, 40, 400)

Given = tuple[Topic, Record]


class People:
    """Two routes whose channels take everything."""

    def __init__(self) -> None:
        self.routes = {"ops": RoutePolicy(), "mail": RoutePolicy()}
        self.closes = frozenset[str]()

    async def send(self, message: Message) -> StepResult:
        return StepResult("done", answered=True)

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Tale:
    """A stage and the valid records that it reads: of each, other forms are tried after the ones before it."""

    build: Callable[[StageClock], Stage]
    records: Sequence[Given]


CASE = case(CHARTER, event(customer="c-1"))
RESPOND, REFUND = decision(CASE, text="tomorrow"), decision(CASE, "refund", amount=50.0)
ASKED = RateRequest(
    request_id="r-1",
    limit="desk/refund",
    count=3,
    per_seconds=3600,
    purpose=REFUND.decision_id,
    number=1,
    decision=REFUND,
    time=NOW,
)


def _ledger() -> Tale:
    asks = CASE.model_copy(update={"reserved_microusd": 0})
    entry = reservation(asks, NOW)
    about = {"case": None, "amount_microusd": 1000, "tokens": 15, "person": "ada", "reason": "typed wrong"}
    kinds = [entry.model_copy(update={"kind": kind, "entry_id": kind, **about}) for kind in ("settle", "correct")]
    entries = [entry, returned(asks, "unavailable", "away", 10, NOW, 5), *kinds, closing(RESPOND, NOW, failed=True)]
    expiry = entry.model_copy(update={"kind": "expire", "entry_id": "expire", "case": None})
    return Tale(
        lambda clock: Budget(CONTROL, clock),
        [(BUDGET, entries[0]), (RATE_REQUESTS, ASKED), *((BUDGET, one) for one in (*entries[1:], expiry))],
    )


def _executions() -> Tale:
    answer = ApprovalReply(
        decision_id=REFUND.decision_id,
        subject=REFUND.subject,
        verdict="edit",
        payload_sha256=payload_sha256(REFUND),
        parameters='{"amount": 5}',
        person="ada",
        time=NOW,
    )
    newer = SubjectEvent(event=event().model_copy(update={"id": "e-2"}), received_at=NOW + timedelta(seconds=5))
    granted = ASKED.model_copy(update={"slot_at": NOW})
    told: list[Given] = [(ACT, REFUND), (SUBJECT_EVENTS, newer), (APPROVALS, answer), (RATE_GRANTS, granted)]
    return Tale(lambda clock: Act(CONTROL, World(), clock), [*told, (ACT, RESPOND)])


def _timers() -> Tale:
    cancelled_by = CancelCondition(type="ticket.closed", when='event.data.by == "agent"')
    timer = Timer(
        timer_id="r-1",
        subject="t-1",
        due_at=NOW + timedelta(days=2),
        topic="ingest",
        key="t-1",
        value=CODEC.encode(event()),
        traceparent=TRACE,
        reason="wait",
        case_id="case-1",
        cancel_when=(cancelled_by,),
        since=NOW,
    )
    closed = event().model_copy(update={"id": "closed-1", "type": "ticket.closed", "data": '{"by": "agent"}'})
    cancel = timer.model_copy(update={"kind": "cancel", "person": "ada", "timer_id": "r-1"})
    records = [timer, came(closed, NOW + timedelta(seconds=1), CODEC, TRACE), cancel]
    return Tale(Timers, [(TIMERS, one) for one in records])


def _notices() -> Tale:
    tell = Notification(
        notification_id="n-1", route="ops", kind="tell", event_class="failure", text="it failed", about="c-1", time=NOW
    )
    batch = Batch(
        batch_id="b-1",
        route="mail",
        event_class="failure",
        first_at=NOW,
        last_at=NOW,
        due_at=NOW,
        about=("c-1",),
    )
    others = {"pass_on": batch.model_dump_json(), "send": "b-1", "unanswered": "b-1", "closed": ""}
    about = [tell.model_copy(update={"kind": kind, "notification_id": kind, "batch": b}) for kind, b in others.items()]
    audit = [audit_samples.dead_lettered(), audit_samples.answered(), audit_samples.audit_record("acted", "failed")]
    audit += [audit_samples.audit_record("outage", "running"), audit_samples.audit_record("approval", "needs_approval")]
    notices = [(NOTIFICATIONS, one) for one in (tell, *about)]
    return Tale(lambda clock: Notify(CONTROL, People(), clock), [*notices, *((AUDIT, one) for one in audit)])


TALES = {"budget": _ledger(), "act": _executions(), "timers": _timers(), "notify": _notices()}
IDS = {"request_id", "timer_id", "notification_id", "entry_id", "record_id"}
MUTANTS = [(name, number) for name, tale in TALES.items() for number in range(len(tale.records))]


@pytest.mark.parametrize(("name", "number"), MUTANTS)
async def test_a_field_at_or_beyond_its_bound_ends_no_stage(name: str, number: int) -> None:
    tale = TALES[name]
    topic, record = tale.records[number]
    # A charter that nobody applied is waited for.
    others = [other for what, other in mutants(record) if "agent=" not in what and "charter_version=" not in what]
    for other in random.Random(number).sample(others, min(len(others), examples(200))):
        await _goes_on(tale, number, topic, other)


async def _goes_on(tale: Tale, number: int, topic: Topic, other: Record) -> None:
    try:
        arrived = CODEC.decode(topic.record, CODEC.encode(other))
    except (Undecodable, OverflowError, UnicodeEncodeError):
        return  # nobody can produce it, or the guard refuses it
    clock = Clock()
    bench = Bench(tale.build(clock))
    again = [(topic, one) for one in (arrived, *_under_another_id(arrived))]
    for offset, (of, one) in enumerate((*tale.records[:number], *again)):
        await _take(bench, of, one, offset)
    _readable(bench.tick())
    heir = Bench(tale.build(clock)).inherit(bench)
    for offset, (of, one) in enumerate(tale.records, start=number + 1):
        assert await _take(bench, of, one, offset) == await _take(heir, of, one, offset), (
            "memory is what the tables say"
        )
    for days in DAYS:
        clock.now = NOW + timedelta(days=days)
        for worker in (bench, heir):
            _readable(worker.tick())
    Bench(tale.build(clock)).inherit(bench)


def _under_another_id(record: Record) -> Iterator[Record]:
    """The record again, as three others."""
    for name in IDS & type(record).model_fields.keys():
        yield from (record.model_copy(update={name: f"{name}-{number}"}) for number in range(3))


async def _take(bench: Bench, topic: Topic, record: Record, offset: int) -> object:
    """What comes of the record, or why it is refused."""
    try:
        writes = await bench.take(topic, record, offset)
    except ValueError as error:
        return str(error)
    _readable(writes)
    return words(writes)


def _readable(writes: StagedWrites) -> None:
    """Kafka and the next stage take what is emitted. What a timer brings is whatever it was set with."""
    assert all(len(message.key or b"") <= KEY_BYTES_AT_MOST for message in writes.messages)
    with suppress(Undecodable):
        words(writes)
