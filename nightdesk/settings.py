"""What a process is told from outside. Every command builds one `Settings` and hands parts of it on.

Sources, first wins: arguments, environment (`NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS`), `<home>/stack.json` (written by a
running `nightdesk up`, so that a second terminal finds it), defaults. Frozen: a process never changes its mind.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from nightdesk.exits import ExitCode, Failure, NotConfigured
from nightdesk.running_stack import running_stack
from processors.charter.quantities import Rate

DEFAULT_HOME = Path(".nightdesk")


class Section(BaseModel):
    """A group of settings; a misspelt name is an error and not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """The broker and how our topics look on it."""

    bootstrap_servers: str = ""
    topic_prefix: str = "nightdesk."
    partitions: int = Field(default=4, ge=1)
    replication_factor: int = Field(default=1, ge=1)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = None

    def client_config(self) -> dict[str, Any]:
        """The part of a confluent-kafka client's configuration that says where and who. Raises `NotConfigured`."""
        if not self.bootstrap_servers:
            raise NotConfigured("Kafka broker", "NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS")
        config = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password and self.sasl_password.get_secret_value(),
            "ssl.ca.location": self.ssl_ca_location,
        }
        return {name: value for name, value in config.items() if value is not None}


class SchemaRegistrySettings(Section):
    """A registry that speaks Confluent's API at `url`."""

    url: str = ""
    username: str | None = None
    password: SecretStr | None = None

    def client_config(self) -> dict[str, Any]:
        """The configuration of confluent-kafka's `SchemaRegistryClient`. Raises `NotConfigured`."""
        if not self.url:
            raise NotConfigured("schema registry", "NIGHTDESK_SCHEMA_REGISTRY__URL")
        if self.username is None:
            return {"url": self.url}
        password = self.password.get_secret_value() if self.password else ""
        return {"url": self.url, "basic.auth.user.info": f"{self.username}:{password}"}


class ClickHouseSettings(Section):
    """The audit database: `http://user:password@host:port/database`."""

    url: str = Field(default="", repr=False)

    def client_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `clickhouse_connect.get_client`. Raises `NotConfigured`."""
        if not self.url:
            raise NotConfigured("ClickHouse", "NIGHTDESK_CLICKHOUSE__URL")
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        return {
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or (8443 if secure else 8123),
            "username": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
            "database": parts.path.strip("/") or "default",
            "secure": secure,
        }

    @property
    def public_url(self) -> str:
        """The url without user and password: what may be printed."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class AnthropicSettings(Section):
    """Falls back to the names that Anthropic's own tools read."""

    api_key: SecretStr | None = Field(default_factory=lambda: _secret_from("ANTHROPIC_API_KEY"))
    base_url: str | None = Field(default_factory=lambda: os.environ.get("ANTHROPIC_BASE_URL"))


class OpenAISettings(Section):
    """Any server that speaks `/chat/completions`; `base_url` ends before that path."""

    api_key: SecretStr | None = None
    base_url: str | None = None


class ConnectionSettings(Section):
    """An outside system that a charter's handlers may call; charters name connections, never hosts.

    `allow_private`: it is in one's own network, so calls may go to private and loopback addresses. `rate`: how often it
    may be called by all workers together, as in `100/1m`.
    """

    base_url: str
    token: SecretStr | None = None
    allow_private: bool = False
    rate: Rate | None = None


class WorkerSettings(Section):
    """One stage process."""

    instance_id: str = Field(default_factory=lambda: f"{socket.gethostname()}-0")
    session_timeout_s: int = Field(default=30, ge=6)
    in_flight: int = Field(default=2000, ge=1)
    model_calls: int = Field(default=1000, ge=1)
    dead_letter_ratio: float = Field(default=0.5, gt=0, le=1, description="above it the stage stops; 1 is never")
    metrics_port: int = Field(default=0, ge=0, le=65535, description="/metrics, /healthz, /readyz; 0 is off")


class LogSettings(Section):
    """What goes to stderr: text for people, json for machines."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class LocalSettings(Section):
    """The local stack: fixed ports, so that what people wrote down yesterday is true today."""

    kafka_port: int = Field(default=19092, ge=0, le=65535)
    kafka_controller_port: int = Field(default=19093, ge=0, le=65535)
    registry_port: int = Field(default=18081, ge=0, le=65535)
    registry_management_port: int = Field(default=18082, ge=0, le=65535)
    clickhouse_port: int = Field(default=18123, ge=0, le=65535)
    helpdesk_port: int = Field(default=18090, ge=0, le=65535)
    cache: Path | None = Field(default=None, description="downloaded jars; default <home>/cache")
    maven_url: str | None = Field(default=None, description="a mirror of Maven Central")


class Settings(BaseSettings):
    """Everything. Build it with `load_settings`, which turns a bad value into a clear `Failure`."""

    model_config = SettingsConfigDict(
        env_prefix="NIGHTDESK_", env_nested_delimiter="__", frozen=True, extra="forbid", env_ignore_empty=True
    )

    home: Path = DEFAULT_HOME
    charters: Path = Path("charters")
    kafka: KafkaSettings = KafkaSettings()
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    anthropic: AnthropicSettings = Field(default_factory=AnthropicSettings)
    openai: OpenAISettings = OpenAISettings()
    connections: dict[str, ConnectionSettings] = Field(default_factory=dict)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    log: LogSettings = LogSettings()
    local: LocalSettings = LocalSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _RunningStackSource(settings_cls)


class _RunningStackSource(PydanticBaseSettingsSource):
    """The endpoints of the stack that runs on this home, if one does."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("this source answers as a whole")

    def __call__(self) -> dict[str, Any]:
        stack = running_stack(Path(self.current_state.get("home", DEFAULT_HOME)))
        return stack.settings if stack else {}


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process. Raises `Failure` that names each bad variable."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = "; ".join(f"{_variable(problem['loc'])}: {problem['msg']}" for problem in error.errors())
        raise Failure(f"bad settings: {problems}", "Correct the environment variable", ExitCode.USAGE) from error


def _variable(location: tuple[int | str, ...]) -> str:
    return "NIGHTDESK_" + "__".join(str(part).upper() for part in location)


def _secret_from(variable: str) -> SecretStr | None:
    value = os.environ.get(variable)
    return SecretStr(value) if value else None
