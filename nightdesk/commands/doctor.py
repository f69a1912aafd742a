"""`nightdesk doctor`: the first thing to run when something does not work. Asks everything, changes nothing."""

from __future__ import annotations

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import Failure
from nightdesk.messaging.settings import without_login
from nightdesk.operations.doctor import Finding, Machine, diagnose
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.settings import ASK_A_MODEL, Settings, load_settings, providers_configured


def doctor(output: OutputOption = Output.text) -> None:
    """Check the settings, the machine, Kafka and its topics, the registry, ClickHouse, the model and the charters.

    The exit code is that of the worst finding.
    """
    settings = load_settings()
    findings = diagnose(settings, machine_of(settings))
    rows = [{"check": finding.check, "state": _state(finding), "detail": finding.detail} for finding in findings]
    print_rows(rows, output)
    problems = [finding.problem for finding in findings if finding.problem is not None]
    if problems:
        raise Failure("some checks failed", "See the lines marked bad", max(problems, key=EXIT_CODES.__getitem__))


def _state(finding: Finding) -> str:
    return "bad" if finding.problem else "warning" if finding.warns else "ok"


def machine_of(settings: Settings) -> Machine:
    """The parts of the settings that the checks need."""
    connections = {name: connection.base_url for name, connection in settings.connections.items()}
    return Machine(settings.home, settings.charters, _model(settings), connections)


def _model(settings: Settings) -> str:
    configured = [
        f"{spec.name} at {without_login(section.base_url or spec.address)}"
        for spec, section in providers_configured(settings)
    ]
    return ", ".join(configured) or f"none: the charters' rules decide. {ASK_A_MODEL}"
