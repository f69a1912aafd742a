"""The settings: which source takes precedence, and the error for each mistake."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from nightdesk.effects.llm.providers import PROVIDERS, ProviderSettings, ProviderSpec
from nightdesk.messaging.failures import Failure, FailureKind, NotConfigured
from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings
from nightdesk.processors.charter.model import RULES, ProviderName
from nightdesk.running_stack import announce, withdraw
from nightdesk.settings import Settings, load_settings, providers_configured
from nightdesk.settings_sections import WorkerSettings
from nightdesk.sinks.clickhouse.access import STORE_USERS, Account
from nightdesk.sinks.settings import ClickHouseSettings


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
    assert caught.value.kind is FailureKind.INVALID


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


def test_a_user_of_clickhouse_without_a_login_uses_another_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = ClickHouseSettings(url="http://sink:s@db.example/audit")
    assert {shared.login(user) for user in ("admin", *STORE_USERS)} == {("sink", "s")}
    assert [user for user in STORE_USERS if shared.has_own_login(user)] == ["sink"]
    for name in ("MIGRATE", "READER"):
        monkeypatch.setenv(f"NIGHTDESK_CLICKHOUSE__{name}_USERNAME", f"the-{name.lower()}")
        monkeypatch.setenv(f"NIGHTDESK_CLICKHOUSE__{name}_PASSWORD", "p")
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__URL", "http://sink:s@db.example/audit")
    found = load_settings().clickhouse
    assert [found.login(user)[0] for user in ("admin", *STORE_USERS)] == [
        "the-migrate", "the-migrate", "sink", "the-reader", "the-reader",
    ]  # fmt: skip


def test_a_viewer_names_its_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__URL", "http://sink:s@db.example/audit")
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__VIEWERS__REFUNDS_TEAM__PASSWORD", "p")
    with pytest.raises(Failure, match="REFUNDS_TEAM__AGENTS"):
        load_settings()
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__VIEWERS__REFUNDS_TEAM__AGENTS", "refunds, billing")
    assert load_settings().clickhouse.accounts()[-1] == Account("viewer", "refunds_team", "p", ("refunds", "billing"))


def test_kafka_config_has_only_what_is_set() -> None:
    assert KafkaSettings(bootstrap_servers="a:1").client_config() == {
        "bootstrap.servers": "a:1",
        "security.protocol": "PLAINTEXT",
    }


def test_outside_topics_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().outside_topics == frozenset()
    monkeypatch.setenv("NIGHTDESK_OUTSIDE_TOPICS", "shop.refunds, shop.mail,")
    assert load_settings().outside_topics == {"shop.refunds", "shop.mail"}


@pytest.mark.parametrize(
    ("prefix", "name"), [("nightdesk.", "nightdesk.act"), ("night.", "night.decide.dlq"), ("", "act")]
)
def test_a_topic_of_ours_is_never_an_outside_topic(prefix: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_OUTSIDE_TOPICS", f"shop.refunds,{name}")
    with pytest.raises(Failure, match=f"NIGHTDESK_OUTSIDE_TOPICS: .*never outside topics: .*{name}"):
        load_settings(kafka=KafkaSettings(topic_prefix=prefix))


def test_every_provider_has_its_section_and_no_section_is_left_over() -> None:
    missing = {spec.section for spec in PROVIDERS} - set(Settings.model_fields)
    assert not missing, f"add their fields to Settings in nightdesk/settings.py: {sorted(missing)}"
    for spec in PROVIDERS:
        assert Settings.model_fields[spec.section].annotation is spec.settings, spec.name
    sections = {
        name
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, ProviderSettings)
    }
    assert sections == {spec.section for spec in PROVIDERS}, "a section without its line in PROVIDERS"


def test_a_charter_can_name_every_provider_and_no_other() -> None:
    names = {spec.name for spec in PROVIDERS} | {RULES}
    assert set(get_args(ProviderName)) == names, "ProviderName in processors/charter/model.py"


def configured() -> list[str]:
    return [spec.name for spec, _ in providers_configured(load_settings())]


@pytest.mark.parametrize("spec", PROVIDERS, ids=lambda spec: spec.name)
def test_a_provider_is_configured_by_its_own_settings(
    spec: ProviderSpec[ProviderSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configured() == []
    for field in spec.settings.model_fields:
        value = "http://127.0.0.1:1/v1" if field == "base_url" else "told"
        monkeypatch.setenv(f"NIGHTDESK_{spec.section}__{field}".upper(), value)
    assert configured() == [spec.name]
    [(_, section)] = providers_configured(load_settings())
    assert spec.build(section, 1).name == spec.name


@pytest.mark.parametrize("spec", [spec for spec in PROVIDERS if spec.environment], ids=lambda spec: spec.name)
def test_the_variables_of_a_providers_own_tools_are_read(
    spec: ProviderSpec[ProviderSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in spec.environment:
        monkeypatch.setenv(variable, "told")
    assert configured() == [spec.name]


HARD_PASSWORDS = ["sec#ret", "sec/ret", "sec?ret", "sec[ret", "sec]ret", "sec%ret", "sec:ret", "sec@ret"]


@pytest.mark.parametrize("password", HARD_PASSWORDS)
def test_any_password_in_the_url_of_a_registry(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("NIGHTDESK_SCHEMA_REGISTRY__URL", f"http://user:{password}@127.0.0.1:1/path")
    config = load_settings().schema_registry.client_config()
    assert config == {"url": "http://127.0.0.1:1/path", "basic.auth.user.info": f"user:{password}"}


@pytest.mark.parametrize(
    "variable",
    [
        "NIGHTDESK_SCHEMA_REGISTRY__URL",
        "NIGHTDESK_CLICKHOUSE__URL",
        "NIGHTDESK_OPENAI__BASE_URL",
        "NIGHTDESK_ANTHROPIC__BASE_URL",
        "NIGHTDESK_CONNECTIONS__DESK__BASE_URL",
        "NIGHTDESK_LOCAL__MAVEN_URL",
    ],
)
@pytest.mark.parametrize(
    "url",
    ["ftp://u:topsecret@host", "http://u:topsecret@host:port", "http://u:topsecret@", "topsecret", "http://h\udcff/"],
)
def test_what_is_no_url_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, variable: str, url: str) -> None:
    monkeypatch.setenv(variable, url)
    with pytest.raises(Failure) as caught:
        load_settings()
    assert variable in str(caught.value)
    assert "topsecret" not in str(caught.value)


def test_a_login_does_not_belong_into_the_address_of_a_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_CONNECTIONS__DESK__BASE_URL", "http://user:topsecret@desk.example")
    with pytest.raises(Failure, match=r"NIGHTDESK_CONNECTIONS__DESK__BASE_URL has a login in it") as caught:
        load_settings()
    assert "topsecret" not in str(caught.value)


def test_a_setting_that_is_cut_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_CONNECTIONS", '{"desk": {"token": "topsecret", ')
    with pytest.raises(Failure, match="connections") as caught:
        load_settings()
    assert "topsecret" not in str(caught.value)


def test_no_session_is_shorter_than_three_heartbeats_and_what_follows_from_them() -> None:
    """Kafka's brokers refuse a shorter one, and the lease is three quarters of it."""
    assert WorkerSettings(session_timeout_s=6).session_timeout_s == 6
    with pytest.raises(ValidationError, match="session_timeout_s"):
        WorkerSettings(session_timeout_s=5)
