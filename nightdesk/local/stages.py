"""The pipeline's own processes as parts of the local stack, for `nightdesk up` and the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping

from nightdesk.local.parts import AUDIT_NICENESS, LOOPBACK, Part, answers_http, python_module
from nightdesk.local.ports import claim_port
from nightdesk.local.stack import LocalStack
from nightdesk.streams.catalog import STAGES

NICEST = 19
# A machine on which somebody works stands still for longer than a server, and here nobody else takes the partitions.
SESSION_S = 30
# In the order of their ports. The sink is first, so that a new stage does not move it.
PROCESSES = ("sink", *(stage.name for stage in STAGES))


def stage_ports(first: int) -> dict[str, int]:
    """The port of each process: `first` for the sink, and the next ports for the stages in their order. With 0 each
    gets a free port. Raises `Failure` if a port is in use.
    """
    return {
        name: claim_port(first + place if first else 0, "NIGHTDESK_LOCAL__METRICS_PORT (the first of several in a row)")
        for place, name in enumerate(PROCESSES)
    }


def stage_parts(stack: LocalStack) -> list[Part]:
    """One process for each stage and one for the sink, each with its metrics and health on a port of its own.

    They share few cores, so a stage nearer to `act` has a higher priority: work that has started is finished first, and
    a burst waits in `ingest` and not half done in front of `act`. The audit can wait as well.
    """
    names = [stage.name for stage in STAGES]
    ports = stage_ports(stack.settings.local.metrics_port)
    workers = [
        _part(stack, name, ("worker", name), ports, _niceness(names.index("act") - place))
        for place, name in enumerate(names)
    ]
    return [*workers, _part(stack, "sink", ("sink",), ports, AUDIT_NICENESS)]


def _niceness(hops_to_act: int) -> int:
    # Two steps of five for the first hop, because with one act still waited for a third of the time in which it had
    # work.
    return min(NICEST, 5 + 5 * hops_to_act) if hops_to_act > 0 else 0


def _part(stack: LocalStack, name: str, arguments: tuple[str, ...], ports: Mapping[str, int], niceness: int) -> Part:
    url = f"http://{LOOPBACK}:{ports[name]}"
    return Part(
        name=name,
        where=f"{url}/metrics",
        command=python_module("nightdesk", *arguments),
        is_ready=answers_http(f"{url}/readyz"),
        is_alive=answers_http(f"{url}/healthz"),
        environment=stack.environment()
        | {
            "NIGHTDESK_WORKER__METRICS_PORT": str(ports[name]),
            "NIGHTDESK_WORKER__METRICS_HOST": LOOPBACK,
            "NIGHTDESK_WORKER__SESSION_TIMEOUT_S": str(max(SESSION_S, stack.settings.worker.session_timeout_s)),
        },
        wave=1,
        niceness=niceness,
        grace_s=15.0,
    )
