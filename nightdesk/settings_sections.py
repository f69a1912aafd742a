"""The sections of the settings that belong to no other room. `settings` puts all sections together."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    NoDecode,
)

from nightdesk.effects.channels.addresses import ChannelName
from nightdesk.messaging.settings import Section
from nightdesk.processors.notifications import RoutePolicy
from nightdesk.processors.quantities import DurationSeconds, Rate
from nightdesk.schemas.bounds import DEAD_LETTER_BYTES_AT_MOST


def names_in(value: Any) -> Any:
    """Names that are separated by commas, as a set; any other value unchanged."""
    return frozenset(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


class ConnectionSettings(Section):
    """A system that a charter's handlers may call; charters name connections, never hosts.

    `allow_private`: it is in your own network, so calls may go to private and loopback addresses. `rate`: how often it
    may be called by all workers together, such as `100/1m`. `agents`: who may call it, separated by commas; empty means
    every agent.
    """

    base_url: str
    token: SecretStr | None = None
    allow_private: bool = False
    rate: Rate | None = None
    agents: Annotated[frozenset[str], NoDecode] = frozenset()

    @field_validator("agents", mode="before")
    @classmethod
    def _separated(cls, value: Any) -> Any:
        return names_in(value)


class RouteSettings(Section):
    """A route of notifications. Lists are separated by commas.

    `url` is Slack's incoming webhook or your own; `token` is a bearer token, or PagerDuty's routing key; `to` are
    e-mail addresses; `topic` is one of the outside topics. `buttons`: approvals in Slack have buttons. The others
    are those of `RoutePolicy`.
    """

    channel: ChannelName
    url: SecretStr | None = None
    token: SecretStr | None = None
    to: str = ""
    topic: str = ""
    allow_private: bool = False
    tell: str = "all"
    agents: str = ""
    always: str = "stop,fault"
    quiet_hours: str = ""
    time_zone: str = "UTC"
    batch: DurationSeconds = 60
    batch_at_most: DurationSeconds = 1800
    otherwise: str = ""
    unanswered_after: DurationSeconds | None = None
    give_up_after: DurationSeconds = 3600
    buttons: bool = False

    @model_validator(mode="after")
    def _has_a_policy(self) -> Self:
        try:
            self.policy  # noqa: B018 - it is checked by being built
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None
        return self

    @property
    def policy(self) -> RoutePolicy:
        """The policy of the route for the notify stage, without secrets."""
        return RoutePolicy.model_validate({name: getattr(self, name) for name in RoutePolicy.model_fields})

    @property
    def addresses(self) -> tuple[str, ...]:
        """The e-mail addresses."""
        return tuple(part.strip() for part in self.to.split(",") if part.strip())


class SmtpSettings(Section):
    """The mail server for routes with the channel `email`."""

    host: str = ""
    port: int = Field(default=587, ge=1, le=65535)
    sender: str = ""
    user: str = ""
    password: SecretStr | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"


class WorkerSettings(Section):
    """One stage process."""

    instance_id: str = Field(default_factory=lambda: f"{socket.gethostname()}-0")
    session_timeout_s: int = Field(
        default=10, ge=6, description="the partitions of a worker that is silent for so long go to others"
    )
    leaves_group: bool = Field(
        default=True,
        description="a worker that is told to stop gives its partitions to the others at once; false: they wait for a"
        " worker with its instance id for as long as a session",
    )
    orders_confirmed_within_s: float = Field(
        default=5.0,
        ge=1,
        le=300,
        description="a call starts only if every order older than this was certainly read",
    )
    in_flight: int = Field(default=2000, ge=1)
    model_calls: int = Field(default=1000, ge=1)
    dead_letter_ratio: float = Field(
        default=0.5, gt=0, le=1, description="above this ratio the stage pauses; 1 is never"
    )
    metrics_port: int = Field(default=0, ge=0, le=65535, description="/metrics, /healthz, /readyz; 0 is off")
    metrics_host: str = Field(default="", description="the address they listen on; empty is every address")
    dead_letter_bytes: int = Field(
        default=DEAD_LETTER_BYTES_AT_MOST,
        ge=200_000,
        le=DEAD_LETTER_BYTES_AT_MOST,
        description="larger records are cut in their dead letter: less than max.message.bytes of the .dlq topics",
    )
    oversized_dir: Path | None = Field(default=None, description="the folder for complete copies of cut records")
    state_dir: Path | None = Field(
        default=None, description="the folder of the tables, one worker of a stage each; without it they are in memory"
    )
    state_cache_mb: int = Field(default=64, ge=16, description="memory for tables in state_dir")


class LogSettings(Section):
    """The log output on stderr: text for people, json for machines."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class OtlpSettings(Section):
    """The OpenTelemetry collector that the stages send spans to."""

    endpoint: str = Field(
        default="", description="the collector's OTLP address over HTTP, such as http://collector:4318"
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="headers of each request, such as a token")


class LocalSettings(Section):
    """The local stack. Its ports are fixed, so that addresses that people wrote down stay valid."""

    kafka_port: int = Field(default=19092, ge=0, le=65535)
    kafka_controller_port: int = Field(default=19093, ge=0, le=65535)
    registry_port: int = Field(default=18081, ge=0, le=65535)
    registry_management_port: int = Field(default=18082, ge=0, le=65535)
    clickhouse_port: int = Field(default=18123, ge=0, le=65535)
    helpdesk_port: int = Field(default=18090, ge=0, le=65535)
    metrics_port: int = Field(
        default=9464,
        ge=0,
        le=65000,
        description="the sink's /metrics, /healthz and /readyz; the stages have the following ports, in their order",
    )
    cache: Path | None = Field(default=None, description="downloaded jars; default <home>/cache")
    maven_url: str | None = Field(default=None, description="a mirror of Maven Central")
