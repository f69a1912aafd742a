"""The protections that check what a record claims and who may write it: partitions, queues and approvals.

These trials need no broker: they use a small log in memory, the real guard, and the real ingest and act stages. A patch
changes one guard or stage, never the program, because other trials run at the same time.
"""

from dataclasses import dataclass, field
from typing import Any

from faust.types import TP

from nightdesk.messaging.partitions import partition_of
from nightdesk.processors.charter.actions import APPROVAL_EXPIRES_S
from nightdesk.schemas.records import BudgetEntry, Event
from nightdesk.schemas.topics import ACT, APPROVALS, BUDGET, INGEST
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.ingest import Ingest
from tests.processors.examples import NOW, case, compiled, event
from tests.protections.stages import Patch, of_a_stage
from tests.protections.trial import Trial, substitute
from tests.streams.runtime.arrivals import arrival
from tests.streams.runtime.memory import begin_terms
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, in_force, said
from tests.streams.stages.test_approvals import _reply
from tests.streams.stages.world import World, decision

PARTITIONS = 4
CHARTER = compiled()
# What the charter lets through of one subject, and how many events come.
ADMITTED, OF_A_SUBJECT = 5, 16


@dataclass
class _Ingest:
    """The ingest stage over all partitions of one small topic; the records that it forwards come back to it."""

    asked: list[str] = field(default_factory=list)
    _ends: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        handlers = Ingest(in_force(CHARTER), Clock())
        for table in handlers.tables:
            begin_terms(table.store, PARTITIONS)
        policy = WorkerPolicy({}, "t.", PARTITIONS, "w0", clock=Clock())
        self.guard = Guard("ingest", handlers.routes(), CODEC, policy)

    def produce(self, one: Event, partition: int) -> RawEvent:
        return self._append(partition, one.subject.encode(), CODEC.encode(one), ())

    def read(self, came: RawEvent) -> None:
        writes = self.guard.handle(came)
        assert isinstance(writes, StagedWrites)
        for put in writes.puts:
            put.store.write(put)
        self.asked += [entry.case_id for entry in said(writes, BUDGET, BudgetEntry)]
        for message in writes.messages:
            if message.topic == "t." + INGEST.name:
                self.read(self._append(message.partition, message.key, message.value, message.headers))

    def _append(self, partition: int, key: bytes | None, value: bytes | None, headers: Any) -> RawEvent:
        offset = self._ends[partition] = self._ends.get(partition, -1) + 1
        return arrival(TP("t." + INGEST.name, partition), offset, key, value, headers)


async def events_spread_over_partitions(remove: Patch) -> list[str]:
    """A producer writes sixteen events of one subject to any partition; a limit lets five through."""
    stage = _Ingest()
    remove(stage.guard)
    for number in range(OF_A_SUBJECT):
        one = event().model_copy(update={"id": f"e-{number}"})
        stage.read(stage.produce(one, number % PARTITIONS))
    begun = len(set(stage.asked))
    return [] if begun == ADMITTED else [f"{begun} cases of one subject began, and {ADMITTED} may"]


async def killed_before_the_forward_was_committed(remove: Patch) -> list[str]:
    """A worker dies after it forwarded an event. The next one forwards it again, and it is no duplicate."""
    stage = _Ingest()
    remove(stage.guard)
    home = partition_of(event().subject.encode(), PARTITIONS)
    came = stage.produce(event(), (home + 1) % PARTITIONS)
    for _ in range(2):
        stage.read(came)
    return [] if len(stage.asked) == 2 else ["an event that was forwarded twice is called a duplicate"]


async def approved_after_its_expiry(remove: Patch) -> list[str]:
    """A person agrees when the time is over, and the timer that should have ended the approval has not fired."""
    world, clock = World(), Clock()
    act = Act(in_force(CHARTER), world, clock)
    remove(act)
    bench = Bench(act)
    await bench.take(ACT, decision(case(CHARTER), "refund", amount=50.0))
    clock.forward(APPROVAL_EXPIRES_S)
    await bench.take(APPROVALS, _reply(), 3)
    return [f"{name} was called" for name in world.handlers]


# -- the patches


def key_partition(guard: Any) -> None:
    """An event is handled on the partition to which its producer wrote it."""
    substitute(guard._repartitioner, "is_elsewhere", lambda *_: False)


def forwarded_once(guard: Any) -> None:
    """An event that is forwarded again counts as a new one."""
    delivery = guard._delivery
    substitute(guard, "_delivery", lambda *record: delivery(*record)._replace(origin=""))


def expiry_of_an_approval(act: Any) -> None:
    """An answer counts until the timers stage ends the approval."""
    take = act._approvals.take
    substitute(act._approvals, "take", lambda delivery, rule, writes, _now: take(delivery, rule, writes, NOW))


TRIALS: tuple[Trial, ...] = (
    of_a_stage(key_partition, events_spread_over_partitions),
    of_a_stage(forwarded_once, killed_before_the_forward_was_committed),
    of_a_stage(expiry_of_an_approval, approved_after_its_expiry),
)
