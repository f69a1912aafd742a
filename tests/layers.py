"""The layers inside `streams` and `processors`, as a table, and how imports are held to it. Imports for types count.

Each line of a table is a layer: modules or packages that may import only from the lines above it. A package may import
within itself; where it has an order of its own, a table of its own says so.
"""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

LAYERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "streams": (
        ("api", "metrics", "ports"),
        ("audit_log", "audit_metrics", "audit_spans", "runtime.process"),
        (
            "broker_clock",
            "calls_under_way",
            "confirmation",
            "identity",
            "in_memory",
            "known_charters",
            "runtime.membership",
            "runtime.state",
        ),
        ("charter_audit", "control", "runtime.policy"),
        ("control_records",),
        ("control_subscriber", "stage_spec", "worker_reports", "runtime.handling"),
        ("stages", "starting_clock", "twins", "runtime.consuming"),
        (
            "catalog",
            "runtime.departure",
            "runtime.faust_app",
            "runtime.group_commit",
            "runtime.ownership",
            "runtime.stage_metrics",
        ),
        ("runtime.stage_worker",),
    ),
    "streams.api": (("clock", "entries"), ("state_store",), ("staged_writes",), ("tables",), ("stage",)),
    "streams.runtime.process": (
        ("boottime", "fail_stop", "health", "ratio"),
        ("clock_watch", "confirmed_clock", "liveness", "pause"),
    ),
    "streams.runtime.membership": (("lease", "member_requests", "topic_watch"), ("coordinator",)),
    "streams.runtime.handling": (
        ("delivery",),
        ("origins", "queues", "repartitioning"),
        ("dead_letters", "parking", "quarantined"),
        ("failed_records",),
        ("guard",),
        ("dispatcher",),
    ),
    "streams.runtime.consuming": (
        (
            "fetches",
            "losses",
            "offset_commits",
            "offset_gaps",
            "offset_tracker",
            "quarantine",
            "rereads",
            "sensor",
            "transaction_watch",
        ),
        ("fetch_thread",),
        ("batches", "partition_reader"),
        ("assignment", "log_watch", "progress"),
    ),
    "processors": (
        (
            "backoff",
            "breaker",
            "cel_syntax",
            "endings",
            "event_checks",
            "intervals",
            "json_text",
            "model",
            "quantities",
            "reasons",
            "regex_costs",
            "sizes",
        ),
        (
            "expression_bounds",
            "json_values",
            "night_report",
            "prices",
            "scopes",
            "template_charges",
            "template_numbers",
        ),
        ("expression_costs", "template_counting", "template_filters", "template_tests"),
        ("template_methods",),
        ("template_work",),
        ("template_syntax",),
        ("expressions", "templates"),
        ("charter",),
        ("conditions", "measures", "notifications", "prompts", "rates", "replies", "routing"),
        ("escalation", "fallback", "four_eyes", "gate", "provenance", "redaction", "verification", "voting"),
        ("conclusion", "ledger", "what_if"),
        ("admission", "anomalies", "reconciliation", "unanswered"),
        ("anomaly_trial", "playbook"),
        ("deciding", "execution"),
        ("kept_questions",),
    ),
}
# Of what lies below it, a stage needs no more than this: it runs without Faust and without a broker.
A_STAGE_MAY_IMPORT = ("api", "calls_under_way", "control", "known_charters", "metrics", "ports", "stage_spec", "stages")


def imports_of(trees: Mapping[Path, ast.Module]) -> dict[str, set[str]]:
    """Which of these modules each of them imports, by full name, `if TYPE_CHECKING` and functions included."""
    named = {name_of(path): tree for path, tree in trees.items()}
    return {name: set(_imports(tree, named)) - {name} for name, tree in named.items()}


def name_of(path: Path) -> str:
    """The full name of the module at a path from the repository's top."""
    parts = (part for part in path.with_suffix("").parts if part not in ("nightdesk", "__init__"))
    return ".".join(("nightdesk", *parts))


def _imports(tree: ast.Module, known: Mapping[str, ast.Module]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                within = f"{node.module}.{alias.name}"
                if within in known:
                    yield within
                elif node.module in known:
                    yield node.module


def ring_in(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one ring, in order, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def places_of(package: str) -> dict[str, int]:
    """The line of each part of a package, from the table."""
    return {part: line for line, parts in enumerate(LAYERS[package]) for part in parts}


def part_of(module: str, package: str) -> str | None:
    """Which part of the package's table a module lies in; None for the package itself and for what is outside."""
    if not module.startswith(f"nightdesk.{package}."):
        return None
    within = module.removeprefix(f"nightdesk.{package}.")
    parts = [part for part in places_of(package) if within == part or within.startswith(f"{part}.")]
    return max(parts, key=len, default=within)


def upwards(package: str, graph: Mapping[str, set[str]]) -> list[str]:
    """Imports that do not go to a line above."""
    places = places_of(package)
    wrong = []
    for module, imported in graph.items():
        part = part_of(module, package)
        for name in sorted(imported):
            other = part_of(name, package)
            if part in places and other in places and other != part and places[other] >= places[part]:
                wrong.append(f"{module} imports {name}")
    return wrong
