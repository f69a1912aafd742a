"""One seed: a small world, what goes wrong in it, and how it comes to rest.

Made by `play.py`. Everything is drawn from one `Random`; there is no other clock than `clock`.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from schemas.records import AuditRecord, Event, Reminder
from schemas.topics import APPROVALS, AUDIT, INGEST, LATER
from streams.catalog import STAGES
from streams.runtime.policy import WorkerPolicy
from streams.runtime.producer import Message
from streams.runtime.ratio import RatioPolicy
from streams.runtime.stage import Handlers
from streams.stages.act import Act
from streams.stages.budget import Budget
from streams.stages.decide import Decide
from streams.stages.ingest import Ingest
from streams.stages.later import Later
from tests.simulator.actions import Calling, Servers
from tests.simulator.agenda import WORLD, Agenda, Happening, Life
from tests.simulator.log import PARTITIONS, PREFIX, Log
from tests.simulator.models import Asking, Provider
from tests.simulator.people import Approvers, Obedience, Orders
from tests.simulator.process import Process
from tests.simulator.scenario import JUNK, Scenario
from tests.simulator.story import told
from tests.streams.stages.bench import Clock, order

READERS = {PREFIX + topic.name: stage.name for stage in STAGES for topic in stage.topics}
JUMPS_S = (0.01, 1.0, 12.0, 61.0, 700.0, 3700.0)
# Facts are kept for days, so a world whose records wait for less than one never meets what was forgotten.
FAULTY_FOR = timedelta(hours=12)
NEVER_STOPS = RatioPolicy(at_most=1.0)
MOVES_AT_MOST = 20_000


@dataclass(slots=True, eq=False)
class World:
    """Everything of one seed. `lives` counts the processes of each stage, `doubled` the words that were said again."""

    rng: Random
    scenario: Scenario
    story: list[str] | None = None
    clock: Clock = field(default_factory=Clock)
    log: Log = field(default_factory=Log)
    policy: WorkerPolicy = field(init=False)
    agenda: Agenda = field(init=False)
    orders: Orders = field(init=False)
    servers: Servers = field(init=False)
    provider: Provider = field(init=False)
    lives: dict[str, int] = field(default_factory=dict)
    doubled: list[bytes | None] = field(default_factory=list)
    moves: int = 0
    at_rest: bool = False
    _approvers: Approvers = field(init=False)
    _processes: dict[str, Process] = field(default_factory=dict)
    _obedience: dict[str, Obedience] = field(default_factory=dict)
    _alarms: list[tuple[float, int, Happening]] = field(default_factory=list)
    _alarms_set: int = 0
    _faulty_until: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.clock.now += timedelta(hours=int(self.rng.random() * 12))
        self.policy = WorkerPolicy({}, PREFIX, PARTITIONS, "simulated", dead_letters=NEVER_STOPS, clock=self.clock)
        self._faulty_until = self.clock.now + FAULTY_FOR
        self.agenda, self.orders = Agenda(self.rng), Orders(self.scenario.variant)
        self.servers, self.provider = Servers(self.rng), Provider(self.rng, self.clock)
        self._approvers = Approvers(self.rng, self.clock)
        for stage in STAGES:
            self._start(stage.name)
        for event in self.scenario.events:
            self.agenda.add(WORLD, partial(self.say, self._produced(event)))
        for kind, agent in self.scenario.orders:
            self.agenda.add(WORLD, partial(self._order, kind, agent))

    def run(self) -> None:
        """Until nothing is left to happen."""
        while self.moves < MOVES_AT_MOST:
            self.moves += 1
            picked = self.agenda.pick() or self._wait()
            if picked is None:
                self.at_rest = True
                return
            self._happen(*picked)

    def _produced(self, event: Event | None) -> Message:
        if event is None:
            return Message(PREFIX + INGEST.name, b"t-1", JUNK)
        return Message(PREFIX + INGEST.name, event.subject.encode(), self.log.codec.encode(event))

    # -- what goes wrong

    @property
    def _faulty(self) -> bool:
        return self.moves < self.scenario.weather.moves and self.clock.now < self._faulty_until

    def _happen(self, life: Life, happening: Happening) -> None:
        if not self._faulty:
            happening()
            return
        weather, chance = self.scenario.weather, self.rng.random()
        if life is not WORLD and chance < weather.crash:
            self._crash(life, happening)
        elif life.stage == weather.slow and chance > 0.3:
            self.agenda.add(life, happening)
        else:
            happening()
        if self.rng.random() < weather.time_passes:
            self._pass(self.rng.choice(JUMPS_S) * self.rng.random())

    def _crash(self, life: Life, happening: Happening) -> None:
        """The process ends before what was to happen, or right after it; or it only loses its partitions."""
        chance = self.rng.random()
        if chance < 0.5:
            happening()
        if chance % 0.5 < 0.35:
            self.trace(life.stage, "dies")
            self._start(life.stage)
        else:
            self.trace(life.stage, "is rebalanced")
            self._live(life.stage, self._processes[life.stage].handlers)

    # -- processes

    def _start(self, stage: str) -> None:
        """A new process, which knows only what was durable."""
        self._obedience[stage] = Obedience(self.orders)
        self._live(stage, self._handlers(stage))

    def _live(self, stage: str, handlers: Handlers) -> None:
        if stage in self._processes:
            self._processes[stage].life.over = True
        self.lives[stage] = self.lives.get(stage, 0) + 1
        process = self._processes[stage] = Process(handlers, self, Life(stage))
        self.agenda.add(process.life, process.tick)
        for _ in range(self._obedience[stage].unheard):
            self.agenda.add(process.life, self._obedience[stage].hear)

    def _handlers(self, stage: str) -> Handlers:
        control, life = self._obedience[stage].control, partial(self._life, stage)
        makers: dict[str, Callable[[], Handlers]] = {
            "ingest": lambda: Ingest(control, self.clock),
            "budget": lambda: Budget(control, self.clock),
            "decide": lambda: Decide(control, Asking(self.provider, self.agenda, life), self.clock),
            "act": lambda: Act(control, self._calling(), self.clock),
            "later": lambda: Later(self.clock),
        }
        return makers[stage]()

    def _calling(self) -> Calling:
        life, limit = partial(self._life, "act"), self.scenario.connection_limit
        return Calling(self.servers, self.agenda, life, lambda: len(self.log.entries), self._halted, limit)

    def _life(self, stage: str) -> Life:
        return self._processes[stage].life

    def _halted(self, agent: str) -> bool:
        return self._obedience["act"].halted(agent)

    # -- what is said

    def say(self, message: Message) -> None:
        """A record becomes durable; who reads the topic may see it."""
        entry = self.log.append(message, self.clock.now.timestamp())
        if self.story is not None:
            place = f"{entry.tp.topic}/{entry.tp.partition}:{entry.offset}"
            self.trace("", "there is", place, told(self.log.record(entry)))
        reader = READERS.get(message.topic)
        if reader is not None:
            self._processes[reader].look(entry.tp)
        if self._faulty and self.rng.random() < self.scenario.weather.double:
            self.agenda.add(WORLD, partial(self._say_again, message))
        if message.topic == PREFIX + AUDIT.name:
            self._shown(self.log.codec.decode(AuditRecord, message.value))
        elif message.topic == PREFIX + LATER.name:
            self.at(self.log.codec.decode(Reminder, message.value).due_at.timestamp(), _nothing)

    def _say_again(self, message: Message) -> None:
        """As a process does that died before it knew that it had."""
        self.doubled.append(message.value)
        self.say(message)

    def _shown(self, record: AuditRecord) -> None:
        if record.kind != "approval" or record.status != "needs_approval":
            return
        for at, reply in self._approvers.answers(record):
            message = Message(PREFIX + APPROVALS.name, reply.subject.encode(), self.log.codec.encode(reply))
            if at is None:
                self.agenda.add(WORLD, partial(self.say, message))
            else:
                self.at(at, partial(self.say, message))

    def _order(self, kind: str, agent: str) -> None:
        """An order is on the control topic, and on its way to every process. What is stopped is resumed."""
        self.orders.given.append(order(kind, agent, agent, reason="night"))
        self.trace("", "is ordered:", kind, agent)
        for stage, process in self._processes.items():
            self.agenda.add(process.life, self._obedience[stage].hear)
        if kind != "resume":
            self.at(self.clock.now.timestamp() + 1 + self.rng.random() * 60, partial(self._order, "resume", agent))

    # -- time

    def at(self, seconds: float, happening: Happening) -> None:
        """Let it happen when the clock is there."""
        self._alarms_set += 1
        heapq.heappush(self._alarms, (seconds, self._alarms_set, happening))

    def _wait(self) -> tuple[Life, Happening] | None:
        """Nothing happens by itself: let time pass until something does. None when nothing is to come."""
        for process in self._processes.values():
            process.tick()
        picked = self.agenda.pick()
        if picked is not None or not self._alarms:
            return picked
        due_in = datetime.fromtimestamp(self._alarms[0][0], UTC) - self.clock.now
        self._pass(max(due_in.total_seconds(), 0.0) + 0.001)
        return self.agenda.pick()

    def _pass(self, seconds: float) -> None:
        self.clock.forward(seconds)
        self.trace("", "it is", self.clock.now.isoformat())
        while self._alarms and self._alarms[0][0] <= self.clock.now.timestamp():
            self.agenda.add(WORLD, heapq.heappop(self._alarms)[2])
        for stage, process in self._processes.items():
            # What the others do then, they do as well much later.
            if stage == "later" or self.rng.random() < 0.2:
                self.agenda.add(process.life, process.tick)

    def trace(self, who: str, what: str, *details: object) -> None:
        if self.story is not None:
            time = self.clock.now.strftime("%d %H:%M:%S.%f")[:-3]
            self.story.append(f"{self.moves:5} {time} {who:7} {what} " + " ".join(map(str, details)))


def _nothing() -> None:
    """A reminder is due: the tick finds it."""
