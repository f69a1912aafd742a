"""The pipeline under measurement: a local stack of its own, every stage and the sink as processes, and the outside
systems.

Nothing here is simulated: the counting server and the model server are processes, too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.counted import CountedActions, CountedCalls
from nightdesk.local.child import Child
from nightdesk.local.parts import LOOPBACK, Part, answers_http, python_module
from nightdesk.local.ports import claim_port
from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import stage_parts
from nightdesk.messaging.failures import Failure
from nightdesk.operations.charters import load_charter
from nightdesk.operations.migrations import migrate_database
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.stage_status import stage_status
from nightdesk.operations.topics import apply_topics
from nightdesk.settings import Settings

ROOT = Path(__file__).parent.parent
CHARTERS = (ROOT / "charters" / "keyword", ROOT / "benchmarks" / "charters" / "asked-model")
TOPIC_PREFIX = "benchmark."
MODEL_DELAY_MS = 500
LOOK_EVERY_S = 0.1
TELL_EVERY_S = 5.0

COUNTING, MODEL = "counting server", "model server"


def tell(line: str) -> None:
    """Print progress to stderr, because stdout is for the result."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A running pipeline. `ours` are the names of Nightdesk's own processes."""

    stack: LocalStack
    settings: Settings
    actions: CountedActions
    calls: CountedCalls
    ours: tuple[str, ...]

    @property
    def children(self) -> list[Child]:
        return self.stack.supervisor.children

    def wait(self, what: str, done: Callable[[], int], wanted: int, limit_s: float) -> None:
        """Wait until `done()` reaches `wanted`. Raises `Failure` if a process ends or the time is over, and names what
        is behind.
        """
        start = told = time.monotonic()
        while (reached := done()) < wanted:
            now = time.monotonic()
            self._check_alive()
            if now - start > limit_s:
                raise Failure(f"{what}: {reached} of {wanted} after {limit_s:.0f} s. {self._who_is_behind()}")
            if now - told > TELL_EVERY_S:
                tell(f"  {what}: {reached:,} of {wanted:,} after {now - start:.0f} s")
                told = now
            time.sleep(LOOK_EVERY_S)

    def _check_alive(self) -> None:
        for child in self.children:
            if child.exit_status is not None:
                raise Failure(f"{child.part.name} {child.how_it_ended}. The end of its log:\n{child.log_tail()}\n")

    def _who_is_behind(self) -> str:
        stages = stage_status(self.settings.kafka)
        behind = {name: stage for name, stage in stages.items() if stage.lag or stage.state != "running"}
        if not behind:
            return "No stage is behind: see the dead letters"
        said = ", ".join(f"{name} is {stage.state} with {stage.lag} records to do" for name, stage in behind.items())
        logs = "\n".join(child.log_tail(5) for child in self.children if child.part.name in behind)
        return f"Behind: {said}. The end of their logs:\n{logs}\n"


@contextmanager
def running_pipeline(home: Path) -> Iterator[Pipeline]:
    """Start everything on free ports with its data in `home`, and stop it at the end. Raises `Failure`."""
    tell("starting Kafka, schema registry and ClickHouse")
    with LocalStack.on_free_ports(home) as stack:
        kafka = stack.settings.kafka.model_copy(update={"topic_prefix": TOPIC_PREFIX})
        settings = stack.settings.model_copy(update={"kafka": kafka})
        _prepare(settings)
        counting, model = _outside(stack)
        stack.supervisor.start(counting, model)
        stages = stage_parts(stack)
        tell(f"starting {', '.join(part.name for part in stages)}")
        told = _told_to_stages(settings, counting.where, model.where)
        stack.supervisor.start(*(replace(part, environment={**part.environment, **told}) for part in stages))
        names = tuple(part.name for part in stages)
        yield Pipeline(stack, settings, CountedActions(counting.where), CountedCalls(model.where), names)
        tell("stopping")


def _prepare(settings: Settings) -> None:
    apply_topics(settings.kafka)
    register_schemas(settings)
    migrate_database(settings.clickhouse)
    give_orders(settings, charter_orders([load_charter(charter) for charter in CHARTERS]))


def _outside(stack: LocalStack) -> tuple[Part, Part]:
    """The parts for the counting server and the model server; `where` has the URL of each."""
    counting, model = (f"{LOOPBACK}:{claim_port(0, '')}" for _ in range(2))
    return (
        _server(stack, COUNTING, f"http://{counting}", "/progress", "benchmarks.counting_server"),
        _server(
            stack, MODEL, f"http://{model}", "/count", "tests.fakes.model_server", "--delay-ms", str(MODEL_DELAY_MS)
        ),
    )


def _server(stack: LocalStack, name: str, url: str, ready: str, module: str, *arguments: str) -> Part:
    return Part(
        name=name,
        where=url,
        command=python_module(module, "--port", url.rpartition(":")[2], *arguments),
        is_ready=answers_http(url + ready),
        environment=stack.environment(),
    )


def _told_to_stages(settings: Settings, actions_url: str, model_url: str) -> dict[str, str]:
    return {
        "NIGHTDESK_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "NIGHTDESK_KAFKA__PARTITIONS": str(settings.kafka.partitions),
        "NIGHTDESK_CONNECTIONS__ACTIONS__BASE_URL": actions_url,
        "NIGHTDESK_CONNECTIONS__ACTIONS__ALLOW_PRIVATE": "true",
        "NIGHTDESK_OPENAI__BASE_URL": f"{model_url}/v1",
        # Faust makes a folder for data that we do not keep there.
        "APP_DATADIR": str(settings.home / "faust"),
    }
