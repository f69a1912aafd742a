"""`python -m benchmarks.stages`: the CPU that each stage takes for one event, without Kafka and without its noise.

The action is an HTTP call to the counting server, a process of its own, whose CPU for the same events tells how fast
the machine was meanwhile. `--profile act` prints the functions in which that stage spends its time.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Annotated, Any

import typer
import uvloop

from benchmarks.counted import CountedActions
from benchmarks.events import TEXTS
from benchmarks.processor_time import of_process
from benchmarks.stage_path import STAGES, StagePath
from nightdesk import interpreter
from nightdesk.local.parts import LOOPBACK, answers_http, python_module
from nightdesk.local.ports import claim_port
from nightdesk.messaging.failures import Failure
from nightdesk.messaging.producer import Message
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.schemas.codec import Codec, UnknownSchema
from nightdesk.schemas.records import Event
from nightdesk.schemas.topics import INGEST, RECORDS
from nightdesk.settings import Settings

# About as many records as a busy worker has in flight.
BATCH = 200
READY_WITHIN_S = 10.0
SERVER = "counting server"
# No stage connects to it: a handler that produces to Kafka would.
NOBODY = f"{LOOPBACK}:1"
PROFILED_FUNCTIONS = 50


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: `rounds` of `events` each, after one that warms up. `profiled` is a stage, or empty."""

    events: int
    rounds: int
    profiled: str


def main(
    events: Annotated[int, typer.Option(min=1, help="events of a round")] = 4_000,
    rounds: Annotated[int, typer.Option(min=1, help="rounds after the one that warms up")] = 5,
    profile: Annotated[str, typer.Option(help="the stage to profile, which slows it down")] = "",
    output: OutputOption = Output.text,
) -> None:
    """Measure the CPU of each stage for one event, in microseconds. Fails if an event does not cause one action."""
    with _counting_server() as (url, pid):
        measured = uvloop.run(_measure(url, pid, Size(events, rounds, profile)))
        executed = CountedActions(url).executed()
    if executed != events * (rounds + 1):
        raise Failure(f"{executed} actions were executed for {events * (rounds + 1)} events")
    if not profile:
        print_rows(_rows(measured, events), output)


def _rows(rounds: list[dict[str, float]], events: int) -> list[dict[str, Any]]:
    server_s = median(cpu_s[SERVER] for cpu_s in rounds)
    rows = []
    for name in rounds[0]:
        times = sorted(cpu_s[name] for cpu_s in rounds)
        us = {"least": times[0], "median": median(times), "most": times[-1]}
        rows.append(
            {
                "process": name,
                **{f"{which} us": round(cpu_s * 1e6 / events) for which, cpu_s in us.items()},
                # The system counts a process's CPU in hundredths of a second, so a short run may have none.
                "in counting servers": round(median(times) / server_s, 2) if server_s else None,
            }
        )
    return rows


async def _measure(url: str, pid: int, size: Size) -> list[dict[str, float]]:
    """CPU seconds by stage, one dictionary for each round."""
    settings = Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": NOBODY},
            "connections": {"actions": {"base_url": url, "allow_private": True}},
        }
    )
    codec = Codec({record: number for number, record in enumerate(RECORDS, start=1)}, _no_other_schema)
    path = StagePath(settings, codec)
    profile = cProfile.Profile()
    rounds = []
    for number in range(size.rounds + 1):
        before = _cpu_s(path, pid)
        for first in range(0, size.events, BATCH):
            await path.walk([_event(codec, number, one) for one in range(first, min(first + BATCH, size.events))])
        rounds.append({name: cpu_s - before[name] for name, cpu_s in _cpu_s(path, pid).items()})
        if number == 0:
            interpreter.freeze_gc()  # as a worker does when everything is loaded
            if size.profiled:
                path.stages[size.profiled].profile = profile
    await path.close()
    if size.profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats(PROFILED_FUNCTIONS)
    return rounds[1:]


def _cpu_s(path: StagePath, pid: int) -> dict[str, float]:
    return {name: path.stages[name].cpu_s for name in dict.fromkeys(STAGES)} | {SERVER: of_process(pid)}


def _event(codec: Codec, number: int, one: int) -> Message:
    """A distinct event of a round. Every second text asks for a refund."""
    event = Event(
        id=f"{number}-{one}",
        source="stages",
        type="message.received",
        subject=f"stages-{one}",
        time=datetime.now(UTC),
        datacontenttype="application/json",
        data=json.dumps({"text": TEXTS[one % len(TEXTS)], "number": one}),
    )
    return Message(INGEST.name, event.subject.encode(), codec.encode(event))


def _no_other_schema(schema_id: int) -> Any:
    raise UnknownSchema(f"schema {schema_id} is not one of ours")


@contextmanager
def _counting_server() -> Iterator[tuple[str, int]]:
    url = f"http://{LOOPBACK}:{claim_port(0, '')}"
    command = python_module("benchmarks.counting_server", "--port", url.rpartition(":")[2])
    with subprocess.Popen(command) as server:
        try:
            _wait_for(url)
            yield url, server.pid
        finally:
            server.terminate()


def _wait_for(url: str) -> None:
    is_ready, until = answers_http(f"{url}/progress"), time.monotonic() + READY_WITHIN_S
    while not is_ready():
        if time.monotonic() > until:
            raise Failure(f"the counting server at {url} does not answer")
        time.sleep(0.05)


if __name__ == "__main__":
    typer.run(main)
