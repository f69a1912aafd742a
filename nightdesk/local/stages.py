"""The pipeline's own processes as parts of the local stack. Used by `nightdesk up` and by the benchmarks."""

from __future__ import annotations

from nightdesk.local.parts import AUDIT_NICENESS, LOOPBACK, Part, answers_http, claim_port, python_module
from nightdesk.local.stack import LocalStack
from streams.catalog import STAGES

NICEST = 19


def stage_parts(stack: LocalStack) -> list[Part]:
    """One process per stage and one for the sink, each with its metrics and health on a free port.

    They share few cores, so the nearer a stage is to `act`, the sooner its turn comes: what was begun is finished
    first, and a burst waits in `ingest` and not half done in front of `act`. The audit can wait as well.
    """
    names = [stage.name for stage in STAGES]
    workers = [
        _part(stack, name, "worker", name, niceness=_niceness(names.index("act") - place))
        for place, name in enumerate(names)
    ]
    return [*workers, _part(stack, "sink", "sink", niceness=AUDIT_NICENESS)]


def _niceness(hops_to_act: int) -> int:
    # Two steps of five for the first hop: with one, act still waited for a third of the time that it had work.
    return min(NICEST, 5 + 5 * hops_to_act) if hops_to_act > 0 else 0


def _part(stack: LocalStack, name: str, *arguments: str, niceness: int) -> Part:
    port = claim_port(0, "")
    url = f"http://{LOOPBACK}:{port}"
    return Part(
        name=name,
        where=f"{url}/metrics",
        command=python_module("nightdesk", *arguments),
        is_ready=answers_http(f"{url}/readyz"),
        environment=stack.environment() | {"NIGHTDESK_WORKER__METRICS_PORT": str(port)},
        wave=1,
        niceness=niceness,
        grace_s=15.0,
    )
