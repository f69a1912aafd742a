"""What a process is told: which source wins, and what a mistake is answered with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nightdesk.exits import ExitCode, Failure, NotConfigured
from nightdesk.running_stack import announce, withdraw
from nightdesk.settings import ClickHouseSettings, KafkaSettings, SchemaRegistrySettings, load_settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in os.environ:
        if variable.startswith(("NIGHTDESK_", "ANTHROPIC_")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("NIGHTDESK_HOME", str(tmp_path))


def test_a_second_terminal_finds_the_running_stack(tmp_path: Path) -> None:
    announce(tmp_path, {"kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    assert load_settings().kafka.bootstrap_servers == "127.0.0.1:1"
    withdraw(tmp_path)
    assert load_settings().kafka.bootstrap_servers == ""


def test_the_environment_wins_over_the_running_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(tmp_path, {"kafka": {"bootstrap_servers": "stack:1", "partitions": 7}})
    monkeypatch.setenv("NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS", "environment:1")
    kafka = load_settings().kafka
    assert (kafka.bootstrap_servers, kafka.partitions) == ("environment:1", 7)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 999999999, "settings": {"kafka": {"partitions": 9}}}'])
def test_a_stale_or_broken_stack_file_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)
    assert load_settings().kafka.partitions == KafkaSettings().partitions


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("NIGHTDESK_KAFKA__PARTITIONS", "many", "NIGHTDESK_KAFKA__PARTITIONS"),
        ("NIGHTDESK_KAFKA__BOOTSTRAP_SERVER", "a:1", "NIGHTDESK_KAFKA__BOOTSTRAP_SERVER"),
        ("NIGHTDESK_WORKER__IN_FLIGHT", "0", "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Failure) as caught:
        load_settings()
    assert says in str(caught.value)
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize(
    "ask",
    [
        KafkaSettings().client_config,
        SchemaRegistrySettings().client_config,
        ClickHouseSettings().client_arguments,
    ],
)
def test_what_is_not_configured_says_how_to(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(NotConfigured, match=r"make up.*NIGHTDESK_"):
        ask()


def test_connections_come_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_CONNECTIONS__HELPDESK__BASE_URL", "https://desk.example")
    monkeypatch.setenv("NIGHTDESK_CONNECTIONS__HELPDESK__TOKEN", "secret-token")
    settings = load_settings()
    assert settings.connections["helpdesk"].base_url == "https://desk.example"
    assert "secret-token" not in repr(settings)


def test_anthropics_own_variable_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "theirs")
    assert load_settings().anthropic.api_key is not None
    monkeypatch.setenv("NIGHTDESK_ANTHROPIC__API_KEY", "ours")
    key = load_settings().anthropic.api_key
    assert key is not None
    assert key.get_secret_value() == "ours"


def test_clickhouse_url_is_taken_apart() -> None:
    settings = ClickHouseSettings(url="https://us%40er:p%3Aw@db.example:9440/audit")
    assert settings.client_arguments() == {
        "host": "db.example",
        "port": 9440,
        "username": "us@er",
        "password": "p:w",
        "database": "audit",
        "secure": True,
    }
    assert settings.public_url == "https://db.example:9440/audit"


def test_kafka_config_has_only_what_is_set() -> None:
    assert KafkaSettings(bootstrap_servers="a:1").client_config() == {
        "bootstrap.servers": "a:1",
        "security.protocol": "PLAINTEXT",
    }
