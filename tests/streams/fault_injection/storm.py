"""The storm: two workers and a steady stream of events; at random moments a worker is killed, asked to stop, or
frozen.
"""

import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from nightdesk.schemas.records import Event
from tests.streams.fault_injection.broker import Broker, wait_until
from tests.streams.fault_injection.checker import Findings, check
from tests.streams.fault_injection.events import many
from tests.streams.fault_injection.keeper import Keeper, RestartedWorker
from tests.streams.fault_injection.worker import Orders

FAULTS = ("kill", "kill", "terminate", "freeze")
FIRST_FAULT_S = 8.0
BATCHES = 100


@dataclass(frozen=True)
class Weather:
    """The strength of the storm. Pauses between faults are at most `longest_pause_s`."""

    events: int
    faults: int
    seed: int
    session_timeout_s: float = 8.0
    freeze_s: float = 12.0
    longest_pause_s: float = 6.0
    calm_after_s: float = 180.0

    @property
    def expected_s(self) -> float:
        return FIRST_FAULT_S + self.faults * self.longest_pause_s / 2


@dataclass(frozen=True)
class Outcome:
    """The result of the storm. `exits` counts the statuses of ended processes."""

    findings: Findings
    faults: Counter[str]
    exits: Counter[int]
    seconds: float

    def line(self, weather: Weather) -> str:
        kills, lost, drift = self.faults.total(), len(self.findings.lost), self.findings.drift
        return f"kills: {kills}, events: {weather.events}, lost: {lost}, drift: {drift}, seed: {weather.seed}"


def blow(broker: Broker, weather: Weather, journals: Path) -> Outcome:
    """Run one storm on existing topics, until everything was emitted and committed or `calm_after_s` has passed."""
    began = time.monotonic()
    truth = many(weather.events, weather.seed)
    sender = threading.Thread(target=_send, args=(broker, truth, weather.expected_s), daemon=True)
    with Keeper([_orders(broker, weather, journals, number) for number in range(2)]) as keeper:
        sender.start()
        struck = _strike(keeper.workers, weather)
        sender.join()
        wait_until(lambda: broker.committed() == broker.ends(broker.events), weather.calm_after_s, poll_s=1.0)
        exits = Counter(status for worker in keeper.workers for status in worker.exits)
        effects = [effect for worker in keeper.workers for effect in worker.journal("effect")]
    return Outcome(check(broker, truth, effects), struck, exits, time.monotonic() - began)


def _orders(broker: Broker, weather: Weather, journals: Path, number: int) -> Orders:
    return Orders(
        bootstrap_servers=broker.bootstrap_servers,
        topic_prefix=broker.topic_prefix,
        partitions=broker.partitions,
        instance_id=f"w{number}",
        journal=journals / f"w{number}.jsonl",
        # One keeps its tables on disk and the other in memory, and both take over what the other wrote.
        state_dir=journals / "state" if number == 0 else None,
        session_timeout_s=weather.session_timeout_s,
    )


def _send(broker: Broker, truth: list[Event], over_s: float) -> None:
    size = max(1, len(truth) // BATCHES)
    for start in range(0, len(truth), size):
        broker.produce(truth[start : start + size])
        time.sleep(over_s * size / len(truth))


def _strike(workers: list[RestartedWorker], weather: Weather) -> Counter[str]:
    chance = random.Random(weather.seed)
    struck: Counter[str] = Counter()
    time.sleep(FIRST_FAULT_S)
    for _ in range(weather.faults):
        worker, fault = chance.choice(workers), chance.choice(FAULTS)
        struck[fault] += 1
        if fault == "freeze":
            worker.signal(signal.SIGSTOP)
            time.sleep(weather.freeze_s)
            worker.signal(signal.SIGCONT)
        else:
            worker.signal(signal.SIGKILL if fault == "kill" else signal.SIGTERM)
        time.sleep(chance.uniform(0.5, weather.longest_pause_s))
    return struck
