"""The protections of a process whose wall clock is wrong: set back while its Kafka client waits by it, or days off when
it starts.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from nightdesk.schemas.records import BudgetEntry
from nightdesk.schemas.topics import BUDGET, INGEST
from nightdesk.streams.broker_clock import BrokerClock
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from nightdesk.streams.stages.ingest import Ingest
from nightdesk.streams.starting_clock import Answer, wait_until_right
from tests.own_clock import clock_environment, set_clock
from tests.processors.examples import compiled, event
from tests.protections.trial import Ground, Trial
from tests.streams.stages.stage_harness import Bench, Clock, in_force, said

ROOT = Path(__file__).parents[2]
HOUR_S = 3600
NOTICED_WITHIN_S = 20.0
POLLS = """
from nightdesk.messaging.clients import new_producer
from nightdesk.streams.runtime.process.clock_watch import ClockWatch
if {protected}:
    ClockWatch().start()
producer = new_producer({{"bootstrap.servers": "127.0.0.1:9", "log_level": 0}})
print("polls", flush=True)
while True:
    producer.poll(1.0)
"""


def clock_set_back(ground: Ground, protected: bool) -> list[str]:
    """A producer waits for reports, a second at a time. Meanwhile the clock is set back by an hour."""
    clock = ground.home / f"clock-{protected}"
    set_clock(clock, HOUR_S)
    command = [sys.executable, "-c", POLLS.format(protected=protected)]
    environment = {**os.environ, **clock_environment(clock)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "polls\n"
        set_clock(clock, 0)
        try:
            status = process.wait(NOTICED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return ["alive, with a client that stands still for an hour"]
    return [] if status == ExitCode.CLOCK_SET_BACK else [f"ended with {status}"]


class WrongClock(Clock):
    """A machine's clock that is eight days behind, until its time service sets it, ten seconds after the start."""

    behind_s, set_after_s = 8 * 86_400.0, 10.0

    def __init__(self) -> None:
        super().__init__()
        self.steady_s = 0.0
        self.forward(-self.behind_s)

    def sleep(self, seconds: float) -> None:
        before, self.steady_s = self.steady_s, self.steady_s + seconds
        self.forward(seconds + self.behind_s * (before < self.set_after_s <= self.steady_s))

    def ask(self, _known: BrokerClock | None) -> Answer:
        """What a report shows."""
        ahead_s = self.behind_s if self.steady_s < self.set_after_s else 0.0
        return Answer(0.0, BrokerClock(ahead_s * 1000, 10.0))


def clock_days_behind_at_the_start(_ground: Ground, protected: bool) -> list[str]:
    """An event is handled, then the clock is set. The same event comes again an hour later."""
    clock = WrongClock()
    if protected:
        wait_until_right(clock.ask, lambda: clock.steady_s, clock.sleep)
    taken = asyncio.run(_taken_twice(clock))
    return [f"an event was taken {taken} times within an hour"] if taken != 1 else []


async def _taken_twice(clock: WrongClock) -> int:
    bench = Bench(Ingest(in_force(compiled()), clock))
    first = await bench.take(INGEST, event(), offset=1)
    clock.sleep(clock.set_after_s)
    clock.sleep(3600)
    bench.tick()
    again = await bench.take(INGEST, event(), offset=2)
    return sum(len(said(writes, BUDGET, BudgetEntry)) for writes in (first, again))


TRIALS = (
    Trial("clock_watch", clock_set_back.__name__, clock_set_back),
    Trial("starting_clock", clock_days_behind_at_the_start.__name__, clock_days_behind_at_the_start),
)
