"""The doctor finds what is not there: each check can say no."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings
from nightdesk.operations.doctor import Machine, check_connections, check_offsets, diagnose
from nightdesk.settings import Settings
from nightdesk.sinks.settings import ClickHouseSettings


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def found(settings: Settings) -> dict[str, FailureKind | None]:
    return {finding.check: finding.problem for finding in diagnose(settings, Machine(settings.home, settings.charters))}


def test_what_is_not_configured_is_not_well(tmp_path: Path) -> None:
    codes = found(Settings(charters=tmp_path))
    assert {codes[check] for check in ("kafka", "schema registry", "clickhouse")} == {FailureKind.NOT_CONFIGURED}
    assert codes["charters"] is FailureKind.FAILED


def test_what_does_not_answer_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightdesk.operations.topics.ANSWER_TIMEOUT_S", 1.0)
    port = closed_port()
    codes = found(
        Settings(
            charters=tmp_path,
            kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"),
            schema_registry=SchemaRegistrySettings(url=f"http://127.0.0.1:{port}"),
            clickhouse=ClickHouseSettings(url=f"http://127.0.0.1:{port}/nightdesk"),
        )
    )
    assert {codes[check] for check in ("kafka", "schema registry", "clickhouse")} == {FailureKind.UNREACHABLE}


def test_a_registry_without_our_schemas_is_not_well(stack_settings: Settings) -> None:
    codes = found(stack_settings)
    assert (codes["kafka"], codes["schema registry"]) == (FailureKind.NOT_READY, FailureKind.NOT_READY)


def test_an_outside_system_that_does_not_answer_is_named() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        there = f"http://127.0.0.1:{server.server_port}"
        found = check_connections({"answers": there, "away": f"http://127.0.0.1:{closed_port()}", "typo": "desk"})
        assert (found.problem, found.detail) == (
            FailureKind.UNREACHABLE,
            "no answer from: away, typo. Check their base_url",
        )
        assert check_connections({"answers": there}).problem is None, "it refuses what it is asked, and it is there"
        server.shutdown()


@pytest.mark.parametrize(("days", "warns"), [(7, True), (29.9, True), (30, False), (365, False)])
def test_offsets_are_kept_as_long_as_records(days: float, warns: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightdesk.operations.doctor.offsets_kept_days", lambda _: days)
    finding = check_offsets(KafkaSettings())
    assert (finding.warns, finding.problem) == (warns, None)
    assert finding.detail.startswith(f"kept for {days:g} days")
    assert ("43200" in finding.detail) is warns


def test_brokers_that_do_not_say_how_long_they_keep_offsets_are_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: KafkaSettings) -> float:
        raise Failure("not authorized")

    monkeypatch.setattr("nightdesk.operations.doctor.offsets_kept_days", refused)
    finding = check_offsets(KafkaSettings())
    assert (finding.warns, finding.problem) == (True, None)
    assert "not authorized" in finding.detail


def test_the_local_broker_keeps_offsets_for_thirty_days(stack_settings: Settings) -> None:
    assert check_offsets(stack_settings.kafka).warns is False
