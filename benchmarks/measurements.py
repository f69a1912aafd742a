"""The measurements, one function each. `benchmarks.__main__` calls them in this order on one running pipeline.

Each run has a source of its own, so that its events, actions and audit rows can be told from those of other runs.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from clickhouse_connect.driver.client import Client

from benchmarks import processor_time
from benchmarks.counted import Arrivals
from benchmarks.events import EventSender, Load
from benchmarks.hand_overs import hand_overs_ms
from benchmarks.pipeline import MODEL_DELAY_MS, Pipeline, tell
from nightdesk.local.parts import python_module
from nightdesk.messaging.failures import Failure
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.schemas.topics import INGEST

KEYWORD, ASKED_MODEL = "message.received", "question.asked"
WARM_UP_EVENTS = 100
FLOOR_RUNS = 3
# A pipeline slower than this is broken and not slow.
SLOWEST_EVENTS_PER_S = 40
PATIENCE_S = 60.0

ACTED = "SELECT uniqExact(event_id) FROM audit_records WHERE event_source = {source:String} AND kind = 'acted'"
ENDED = """
SELECT count() FROM ends
WHERE event_source = {source:String} AND status = 'completed' AND event_type = {type:String}
"""


@dataclass(frozen=True, slots=True)
class Faults:
    """Counts that must all be 0, except `repeated_calls`: the other side knew the key and did nothing."""

    missing_actions: int
    doubled_actions: int
    missing_ends: int
    repeated_calls: int

    @property
    def any(self) -> bool:
        return bool(self.missing_actions or self.doubled_actions or self.missing_ends)


@dataclass(frozen=True, slots=True)
class Throughput:
    """The time from the first produce to the last action and the last audit row, and the CPU seconds of each
    process.
    """

    events: int
    seconds: float
    cpu_seconds: dict[str, float]
    faults: Faults

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds


@dataclass(frozen=True, slots=True)
class Latency:
    """The times from an event's produce to its action's arrival, and the median from each hand-over to the next."""

    events: int
    per_second: float
    p50_ms: float
    p99_ms: float
    hand_overs_ms: Mapping[str, float]
    faults: Faults


@dataclass(frozen=True, slots=True)
class InFlight:
    """Model calls in flight with a slow model: `peak` as the model server counted, `mean` by Little's law."""

    throughput: Throughput
    peak: int

    @property
    def mean(self) -> float:
        return self.throughput.events_per_s * MODEL_DELAY_MS / 1000


def warm_up(pipeline: Pipeline, sender: EventSender) -> None:
    """Open connections, fill caches and load charters before anything is measured."""
    for kind in (KEYWORD, ASKED_MODEL):
        _throughput(pipeline, sender, Load(f"warm-up/{kind}", kind, WARM_UP_EVENTS, WARM_UP_EVENTS))


def decision_at_once(pipeline: Pipeline, sender: EventSender, load: Load) -> Throughput:
    """Process a backlog of `load` that a keyword decides."""
    return _throughput(pipeline, sender, load)


def decision_by_model(pipeline: Pipeline, sender: EventSender, load: Load) -> InFlight:
    """Process a backlog that a slow model decides."""
    return InFlight(_throughput(pipeline, sender, load), pipeline.calls.peak_in_flight())


def latency(pipeline: Pipeline, sender: EventSender, load: Load, per_second: float) -> Latency:
    """Send events at a steady low rate, each with a subject of its own."""
    encoded = sender.encode(load)
    pipeline.actions.forget()
    sent_at = sender.send_paced(encoded, per_second)
    _await_ends(pipeline, load)
    arrivals = pipeline.actions.arrivals()
    first_at = {subject: times[0] for subject, times in arrivals.at.items() if subject in sent_at}
    took_ms = sorted((at - sent_at[subject]) * 1000 for subject, at in first_at.items())
    faults = _faults(pipeline, load, arrivals)
    traced = hand_overs_ms(pipeline.settings, sent_at, first_at)
    return Latency(load.count, per_second, percentile(took_ms, 0.50), percentile(took_ms, 0.99), traced, faults)


def floor(pipeline: Pipeline, load: Load) -> Throughput:
    """Run the script of `benchmarks.floor` on the same events, which `decision_at_once` left in Kafka.

    A run takes a few seconds, and the speed of a shared machine varies from second to second, so this returns the
    median of three runs, or the first run that missed or doubled an action.
    """
    runs = sorted((_floor_once(pipeline, load) for _ in range(FLOOR_RUNS)), key=lambda run: run.events_per_s)
    return next((run for run in runs if run.faults.any), runs[FLOOR_RUNS // 2])


def _floor_once(pipeline: Pipeline, load: Load) -> Throughput:
    pipeline.actions.forget()
    command = python_module(
        "benchmarks.floor",
        *("--bootstrap-servers", pipeline.settings.kafka.bootstrap_servers),
        *("--topic", pipeline.settings.kafka.topic_prefix + INGEST.name),
        *("--source", load.source),
        *("--events", str(load.count)),
        *("--url", f"{pipeline.actions.url}/actions"),
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_limit_s(load))
    except subprocess.TimeoutExpired as error:
        raise Failure(f"the floor was not done after {error.timeout:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise Failure(f"the floor failed:\n{error.stderr}") from error
    took = json.loads(done.stdout)
    arrivals, expected = pipeline.actions.arrivals(), load.expected()
    faults = Faults(arrivals.missing(expected), arrivals.doubled(expected), 0, arrivals.repeated)
    return Throughput(load.count, took["seconds"], {"floor": took["cpu_seconds"]}, faults)


def _throughput(pipeline: Pipeline, sender: EventSender, load: Load) -> Throughput:
    encoded = sender.encode(load)
    pipeline.actions.forget()
    before, start = processor_time.cpu_seconds(pipeline.children), time.monotonic()
    sender.send(encoded)
    _await_ends(pipeline, load)
    seconds = time.monotonic() - start
    cpu = processor_time.spent(before, processor_time.cpu_seconds(pipeline.children))
    return Throughput(load.count, seconds, cpu, _faults(pipeline, load, pipeline.actions.arrivals()))


def _await_ends(pipeline: Pipeline, load: Load) -> None:
    """Wait until every action is counted and its audit row is in ClickHouse."""
    pipeline.wait(f"{load.source}: actions", pipeline.actions.executed, load.count, _limit_s(load))
    with clickhouse(pipeline.settings.clickhouse) as client:

        def acted() -> int:
            return _count(client, ACTED, {"source": load.source})

        pipeline.wait(f"{load.source}: audit rows", acted, load.count, _limit_s(load))


def _faults(pipeline: Pipeline, load: Load, arrivals: Arrivals) -> Faults:
    with clickhouse(pipeline.settings.clickhouse) as client:
        ended = _count(client, ENDED, {"source": load.source, "type": load.type})
    expected = load.expected()
    faults = Faults(arrivals.missing(expected), arrivals.doubled(expected), load.count - ended, arrivals.repeated)
    if faults.any:
        tell(f"{load.source}: {faults}")
    return faults


def _count(client: Client, query: str, parameters: dict[str, str]) -> int:
    ((count,),) = client.query(query, parameters=parameters).result_rows
    return int(count)


def _limit_s(load: Load) -> float:
    return PATIENCE_S + load.count / SLOWEST_EVENTS_PER_S


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that the given share of the values does not exceed."""
    return ordered[ceil(share * len(ordered)) - 1]
