"""One night: the stages' own code on a log in memory with the real Avro codec, under a clock that jumps to what is due.

A stage's worker is the simulator's (`tests/simulator/process.py`): guard, tables, state before output, in-order commit.
What a worker began dies with it; its successor starts from the changelogs and the committed offsets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from random import Random
from typing import Any

import orjson

from nightdesk.adapters import ProviderModels
from nightdesk.effects.llm.chain import ProviderChain
from nightdesk.messaging.producer import Message
from nightdesk.operations.charters import load_charter
from nightdesk.processors.charter import CompiledCharter, compiled_from_json
from nightdesk.schemas.audit_records import ordered, reoffered
from nightdesk.schemas.records import AuditRecord, ControlCommand, Event, Record, Timer
from nightdesk.schemas.topics import APPROVALS, AUDIT, CONTROL, INGEST, TIMERS, Topic
from nightdesk.streams.catalog import BY_NAME, STAGES
from nightdesk.streams.control import Control
from nightdesk.streams.ports import ANYBODY, Actions, CircuitBreakers, Models, Notifier, Persons
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.ratio import RatioPolicy
from tests.nights import tickets
from tests.nights.models import Connected, Provider
from tests.nights.night import ROOT, Kill, Night, Order, merged
from tests.nights.outages import Outages
from tests.nights.people import Approvers
from tests.nights.reoffers import offered_again, untaken
from tests.nights.schedule import Schedule
from tests.nights.systems import Connections, Systems
from tests.nights.telling import Channels, Told
from tests.simulator.agenda import Life
from tests.simulator.log import PARTITIONS, PREFIX, Log
from tests.simulator.process import Process
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.stages.stage_harness import Clock, order

READERS = {PREFIX + topic.name: stage.name for stage in STAGES for topic in stage.topics}
NEVER_STOPS = RatioPolicy(at_most=1.0)
# Time passes in steps of a second while something happens, and in longer ones while nothing does.
TICK_S = 1.0
QUIET_TICK_S = 60.0
# Who watches learns of an order a moment after it was given.
ORDER_TAKES_S = 1.0


@dataclass(slots=True, eq=False)
class Desk:
    """A night from its evening on. `audits` has the first record of each id, in the order in which they came."""

    night: Night
    seed: int = 1
    clock: Clock = field(default_factory=Clock)
    log: Log = field(default_factory=lambda: Log(local_codec()))
    audits: dict[str, AuditRecord] = field(default_factory=dict)
    orders: list[ControlCommand] = field(default_factory=list)
    rng: Random = field(init=False)
    policy: WorkerPolicy = field(init=False)
    agenda: Schedule = field(init=False)
    provider: Provider = field(init=False)
    systems: Systems = field(init=False)
    told: Told = field(init=False)
    events: list[Event] = field(init=False)
    lives: dict[str, int] = field(default_factory=dict)
    _approvers: Approvers = field(init=False)
    _charters: dict[str, dict[str, Any]] = field(default_factory=dict)
    _promoted: list[CompiledCharter] = field(default_factory=list)
    _processes: dict[str, Process] = field(default_factory=dict)
    _controls: dict[str, Control] = field(default_factory=dict)

    def __post_init__(self) -> None:
        night = self.night
        self.clock.now = night.since
        self.rng = Random(self.seed)
        self.policy = WorkerPolicy({}, PREFIX, PARTITIONS, "night", dead_letters=NEVER_STOPS, clock=self.clock)
        self.agenda = Schedule(self.clock)
        outages = Outages(night, self.clock, Random(f"{self.seed} outages"))
        self.provider = Provider(self.seed, self.clock, outages)
        self.systems = Systems(self.clock, outages)
        self.told = Told(self.clock, outages)
        self._approvers = Approvers(night.people, self.clock, Random(f"{self.seed} people"))
        first = merged(orjson.loads(load_charter(ROOT / night.charter).to_json()), night.change)
        for charter in (first, *(merged(first, other) for other in night.others)):
            self._charters[charter["agent"]] = charter
            self._promote(charter["agent"])
        for stage in STAGES:
            self._start(stage.name)
        self.events = tickets.events(night, ROOT / night.charter, self.charter, Random(f"{self.seed} tickets"))
        for event in self.events:
            self.agenda.at(event.time.timestamp(), partial(self._produce, INGEST, event))
        for given in night.orders:
            self.agenda.at(night.at(given.at).timestamp(), partial(self._give, given))
        for kill in night.kills:
            self.agenda.at(night.at(kill.at).timestamp(), partial(self.kill, kill))

    @property
    def charter(self) -> CompiledCharter:
        """The first agent's charter of new cases."""
        return next(iter(self.charters.values()))

    @property
    def charters(self) -> Mapping[str, CompiledCharter]:
        """The charters of new cases, by agent."""
        return {agent: compiled(orjson.dumps(charter)) for agent, charter in self._charters.items()}

    def run(self, until: datetime) -> None:
        """Let everything happen that is due by then."""
        tick_s = TICK_S
        while True:
            tick_s = TICK_S if self.agenda.run_now() else min(tick_s * 2, QUIET_TICK_S)
            now = self.clock.now.timestamp()
            if now >= until.timestamp():
                return
            self.agenda.forward(min(now + tick_s, until.timestamp()))
            for process in self._processes.values():
                if not process.life.over:
                    process.tick()

    # -- workers

    def kill(self, kill: Kill) -> None:
        """The worker ends without a word, and another begins."""
        self._processes[kill.stage].life.over = True
        if kill.back_after:
            self.agenda.after(kill.back_after, partial(self._start, kill.stage))
        else:
            self._start(kill.stage)

    def is_replaced(self) -> bool:
        return False

    def replace(self, stage: str) -> None:
        self._start(stage)

    def _start(self, stage: str) -> None:
        if stage in self._processes:
            self._processes[stage].life.over = True
        self.lives[stage] = self.lives.get(stage, 0) + 1
        control = self._controls[stage] = Control()
        for given in self.orders:
            self._apply(control, given)
        worker = Worker(self, control, stage)
        self._processes[stage] = Process(BY_NAME[stage].build(worker), self, Life(stage))
        self.agenda.add(self._processes[stage].life, self._processes[stage].tick)

    def life(self, stage: str) -> Life:
        """That of the stage's worker of now."""
        return self._processes[stage].life

    # -- what is said

    def say(self, message: Message) -> None:
        """A record becomes durable; who reads the topic may see it."""
        entry = self.log.append(message, self.clock.now.timestamp())
        reader = READERS.get(message.topic)
        if reader is not None:
            self._processes[reader].look(entry.tp)
        if message.topic == PREFIX + AUDIT.name:
            self._shown(self.log.codec.decode(AuditRecord, message.value))
        elif message.topic == PREFIX + TIMERS.name:
            timer = self.log.codec.decode(Timer, message.value)
            self.agenda.at(timer.due_at.timestamp(), _nothing)
        elif message.topic == PREFIX + CONTROL.name:
            self._ordered(self.log.codec.decode(ControlCommand, message.value))

    def _produce(self, topic: Topic, record: Record) -> None:
        key = str(getattr(record, topic.key)).encode()
        self.say(Message(PREFIX + topic.name, key, self.log.codec.encode(record)))

    def _shown(self, record: AuditRecord) -> None:
        if self.audits.setdefault(record.record_id, record) is not record:
            return
        answer = self._approvers.answer(record)
        if answer is not None:
            after_s, reply = answer
            self.agenda.after(after_s, partial(self._produce, APPROVALS, reply))

    def trace(self, who: str, what: str, *details: object) -> None:
        """A night is too long to be read as a story."""

    # -- orders

    def _give(self, given: Order) -> None:
        """A person gives an order, as `nightdesk pause` and the like do: it is on `control` and in the audit."""
        if given.order == "promote":
            agent = given.agent or self.charter.agent
            self._charters[agent] = merged(self._charters[agent], given.change)
            self._promote(agent, given.applies_to)
            return
        if given.order == "reoffer":
            self._reoffer(given.reason)
            return
        agent = given.agent or ("*" if given.order == "stop_all" else self.charter.agent)
        command = order(given.order, agent, agent, reason=given.reason, time=self.clock.now)
        self._produce(CONTROL, command)
        self._produce(AUDIT, ordered(command, None))

    def _reoffer(self, reason: str) -> None:
        events = untaken(self.audits.values())
        for message in [*offered_again(self.log, events)]:
            self.say(message)
        for event in events:
            self._produce(AUDIT, reoffered(event, "ops", reason, self.clock.now))

    def _promote(self, agent: str, applies_to: str = "new") -> None:
        charter = self.charters[agent]
        self._promoted.append(charter)
        key, now = f"{charter.agent}/promoted", self.clock.now
        named = {"charter_version": charter.version, "applies_to": applies_to}
        self._ordered(order("promote", charter.agent, key, time=now, **named), takes_s=0.0)

    def _ordered(self, command: ControlCommand, takes_s: float = ORDER_TAKES_S) -> None:
        self.orders.append(command)
        for control in self._controls.values():
            if takes_s:
                self.agenda.after(takes_s, partial(self._apply, control, command))
            else:
                self._apply(control, command)

    def _apply(self, control: Control, command: ControlCommand) -> None:
        for charter in self._promoted:
            # What an order of kind `charter` comes to, without compiling it for each worker. A successor needs the
            # older ones as well: cases end under the version that they began with.
            if not control.is_applied(charter.agent, charter.version):
                control._learn(charter.agent, charter.version, charter)
        control.apply(command)


@dataclass(frozen=True, slots=True)
class Worker:
    """`streams.stage_spec.StageContext` of one worker in a night."""

    desk: Desk
    control: Control
    stage: str

    @property
    def clock(self) -> Clock:
        return self.desk.clock

    def models(self, circuits: CircuitBreakers) -> Models:
        desk = self.desk
        connected = [Connected(desk.provider, desk.agenda, self._life)] if desk.night.model else []
        return ProviderModels(ProviderChain(connected, circuits, 1_000_000, desk.clock))

    def actions(self) -> Actions:
        return Connections(self.desk.systems, self.desk.agenda, self._life)

    def notifier(self) -> Notifier:
        return Channels(self.desk.told, self.desk.agenda, self._life, self.desk.night.routes)

    def persons(self) -> Persons:
        return ANYBODY

    def _life(self) -> Life:
        return self.desk.life(self.stage)


@lru_cache(maxsize=64)
def compiled(charter: bytes) -> CompiledCharter:
    """A charter's JSON, ready. Compiling takes longer than a case."""
    return compiled_from_json(charter.decode())


def _nothing() -> None:
    """A timer is due: the tick finds it."""
