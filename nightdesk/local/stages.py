"""The pipeline's own processes as parts of the local stack. Used by `nightdesk up` and by the benchmarks."""

from __future__ import annotations

from nightdesk.local.parts import LOOPBACK, Part, answers_http, claim_port, python_module
from nightdesk.local.stack import LocalStack
from streams.catalog import STAGES


def stage_parts(stack: LocalStack) -> list[Part]:
    """One process per stage and one for the sink, each with its metrics and health on a free port."""
    workers = [_part(stack, stage.name, "worker", stage.name) for stage in STAGES]
    return [*workers, _part(stack, "sink", "sink")]


def _part(stack: LocalStack, name: str, *arguments: str) -> Part:
    port = claim_port(0, "")
    url = f"http://{LOOPBACK}:{port}"
    return Part(
        name=name,
        where=f"{url}/metrics",
        command=python_module("nightdesk", *arguments),
        is_ready=answers_http(f"{url}/readyz"),
        environment=stack.environment() | {"NIGHTDESK_WORKER__METRICS_PORT": str(port)},
        wave=1,
        grace_s=15.0,
    )
