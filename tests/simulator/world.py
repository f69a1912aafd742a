"""One seed: a small world, its faults, and how it becomes idle.

Everything is drawn from one `Random`; there is no other clock than `clock`.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from nightdesk.messaging.producer import Message
from nightdesk.schemas.approval_details import ApprovalRequestDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import AuditRecord, Event, Timer
from nightdesk.schemas.topics import APPROVALS, AUDIT, INGEST, TIMERS
from nightdesk.streams.api import Stage
from nightdesk.streams.catalog import STAGES
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.ratio import RatioPolicy
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.decide import Decide
from nightdesk.streams.stages.ingest import Ingest
from nightdesk.streams.stages.notify import Notify
from nightdesk.streams.stages.timers import Timers
from tests.simulator.actions import Calling, Servers
from tests.simulator.agenda import WORLD, Agenda, Happening, Life
from tests.simulator.log import PARTITIONS, PREFIX, Log
from tests.simulator.models import Asking, Provider
from tests.simulator.no_routes import NoRoutes
from tests.simulator.people import Approvers, Obedience, Orders
from tests.simulator.process import Process
from tests.simulator.scenario import JUNK, Scenario
from tests.simulator.story import told
from tests.streams.stages.stage_harness import Clock, order

READERS = {PREFIX + topic.name: stage.name for stage in STAGES for topic in stage.topics}
JUMPS_S = (0.01, 1.0, 12.0, 61.0, 700.0, 3700.0)
# Facts are kept for days, so a world whose records wait for less than one never meets what was forgotten.
FAULTY_FOR = timedelta(hours=12)
NEVER_STOPS = RatioPolicy(at_most=1.0)
MOVES_AT_MOST = 20_000
ESCALATION = "page"  # the handler of the one action that brings a case to a person
RELEASED_WITHIN_S = 5
LOOKS_AGAIN_AFTER_S = 300.0


@dataclass(slots=True, eq=False)
class World:
    """The state of one seed. `lives` counts the processes of each stage, `doubled` the records that were emitted
    again.
    """

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
        weather = self.scenario.weather
        self.servers = Servers(self.rng, self.clock, self.clock.now + timedelta(seconds=weather.systems_away_s))
        self.provider = Provider(self.rng, self.clock, self.clock.now + timedelta(seconds=weather.provider_away_s))
        self._approvers = Approvers(self.rng, self.clock)
        for stage in STAGES:
            self._start(stage.name)
        for event in self.scenario.events:
            self.agenda.add(WORLD, partial(self.say, self._produced(event)))
        for kind, agent in self.scenario.orders:
            self.agenda.add(WORLD, partial(self._order, kind, agent))

    def run(self) -> None:
        """Run until nothing is left to happen."""
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
        partition = {"home": -1, "one": 0, "any": self.rng.randrange(PARTITIONS)}[self.scenario.spread]
        return Message(PREFIX + INGEST.name, event.subject.encode(), self.log.codec.encode(event), partition=partition)

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

    def is_replaced(self) -> bool:
        """Whether a process that asks has lost its partitions to another."""
        return self._faulty and self.rng.random() < self.scenario.weather.crash

    # -- processes

    def replace(self, stage: str) -> None:
        """The process found that it owns nothing any more, and ended."""
        self.trace(stage, "is replaced")
        self._start(stage)

    def _start(self, stage: str) -> None:
        """Start a new process, which knows only what was durable."""
        self._obedience[stage] = Obedience(self.orders)
        self._live(stage, self._handlers(stage))

    def _live(self, stage: str, handlers: Stage) -> None:
        if stage in self._processes:
            self._processes[stage].life.over = True
        self.lives[stage] = self.lives.get(stage, 0) + 1
        process = self._processes[stage] = Process(handlers, self, Life(stage))
        self.agenda.add(process.life, process.tick)
        for _ in range(self._obedience[stage].unheard):
            self.agenda.add(process.life, self._obedience[stage].hear)

    def _handlers(self, stage: str) -> Stage:
        control, life = self._obedience[stage].control, partial(self._life, stage)
        makers: dict[str, Callable[[], Stage]] = {
            "ingest": lambda: Ingest(control, self.clock),
            "budget": lambda: Budget(control, self.clock),
            "decide": lambda: Decide(control, Asking(self.provider, self.agenda, life), self.clock),
            "act": lambda: Act(control, self._calling(), self.clock),
            "timers": lambda: Timers(self.clock),
            "notify": lambda: Notify(control, NoRoutes(), self.clock),
        }
        return makers[stage]()

    def _calling(self) -> Calling:
        life, limit = partial(self._life, "act"), self.scenario.connection_limit
        return Calling(self.servers, self.agenda, life, lambda: len(self.log.entries), self._halted, limit)

    def _life(self, stage: str) -> Life:
        return self._processes[stage].life

    def _halted(self, agent: str, handler: str) -> bool:
        return self._obedience["act"].halted(agent, escalates=handler == ESCALATION)

    # -- what is said

    def say(self, message: Message) -> None:
        """Make a record durable; the readers of its topic may see it."""
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
        elif message.topic == PREFIX + TIMERS.name:
            self.at(self.log.codec.decode(Timer, message.value).due_at.timestamp(), _nothing)

    def _say_again(self, message: Message) -> None:
        """Emit again, as a process does that died before it knew that its record was durable."""
        self.doubled.append(message.value)
        self.say(message)

    def _shown(self, record: AuditRecord) -> None:
        if record.kind != "approval" or record.status != "needs_approval":
            return
        if (shown := read(ApprovalRequestDetail, record.detail)) is not None:
            self.at(shown.expires_at.timestamp(), _nothing)
        for at, reply in self._approvers.answers(record):
            message = Message(PREFIX + APPROVALS.name, reply.subject.encode(), self.log.codec.encode(reply))
            if at is None:
                self.agenda.add(WORLD, partial(self.say, message))
            else:
                self.at(at, partial(self.say, message))

    def _order(self, kind: str, agent: str) -> None:
        """An order is on the control topic and will reach every process. An agent that is stopped is resumed later."""
        self.orders.given.append(order(kind, agent, agent, reason="night"))
        self.trace("", "is ordered:", kind, agent)
        for stage, process in self._processes.items():
            self.agenda.add(process.life, self._obedience[stage].hear)
        if kind == "resume":
            for seconds in range(1, RELEASED_WITHIN_S):  # what waited is let go by rate, and not all at once
                self.at(self.clock.now.timestamp() + seconds, _nothing)
        else:
            self.at(self.clock.now.timestamp() + 1 + self.rng.random() * 60, partial(self._order, "resume", agent))

    # -- time

    def at(self, seconds: float, happening: Happening) -> None:
        """Schedule it for this time of the clock."""
        self._alarms_set += 1
        heapq.heappush(self._alarms, (seconds, self._alarms_set, happening))

    def _wait(self) -> tuple[Life, Happening] | None:
        """Nothing can happen now: move the clock to the next scheduled thing. None if there is none."""
        for process in self._processes.values():
            process.tick()
        picked = self.agenda.pick()
        looks_at = self.clock.now.timestamp() + LOOKS_AGAIN_AFTER_S
        if picked is None and self._steps_wait and not (self._alarms and self._alarms[0][0] <= looks_at):
            self.at(looks_at, _nothing)
        if picked is not None or not self._alarms:
            return picked
        due_in = datetime.fromtimestamp(self._alarms[0][0], UTC) - self.clock.now
        self._pass(max(due_in.total_seconds(), 0.0) + 0.001)
        return self.agenda.pick()

    @property
    def _steps_wait(self) -> bool:
        """Whether a case waits in a stage that sets no timer for it: ingest, budget."""
        tables = (table for process in self._processes.values() for table in process.handlers.tables)
        waiting = [table for table in tables if table.name == "waiting"]
        return any(table.count(partition) for table in waiting for partition in range(PARTITIONS))

    def _pass(self, seconds: float) -> None:
        self.clock.forward(seconds)
        self.trace("", "it is", self.clock.now.isoformat())
        while self._alarms and self._alarms[0][0] <= self.clock.now.timestamp():
            self.agenda.add(WORLD, heapq.heappop(self._alarms)[2])
        for stage, process in self._processes.items():
            # What the others do then, they do as well much later.
            if stage == "timers" or self.rng.random() < 0.2:
                self.agenda.add(process.life, process.tick)

    def trace(self, who: str, what: str, *details: object) -> None:
        if self.story is not None:
            time = self.clock.now.strftime("%d %H:%M:%S.%f")[:-3]
            self.story.append(f"{self.moves:5} {time} {who:7} {what} " + " ".join(map(str, details)))


def _nothing() -> None:
    """Something is due: a tick finds it."""
