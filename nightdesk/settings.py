"""The configuration of a process. Every command builds one `Settings` and passes parts of it on.

Sources, the first wins: arguments, environment (`NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS`), `<home>/stack.json` (written by
a running `nightdesk up`, so that a second terminal finds it), defaults. It is frozen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from nightdesk.console.settings import ConsoleSettings
from nightdesk.effects.llm.providers import PROVIDERS, AnthropicSettings, OpenAISettings, ProviderSettings, ProviderSpec
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings
from nightdesk.operations.settings import PersonSettings
from nightdesk.processors.notifications.routes import check_chain
from nightdesk.running_stack import running_stack
from nightdesk.settings_sections import (
    ConnectionSettings,
    LocalSettings,
    LogSettings,
    OtlpSettings,
    RouteSettings,
    SmtpSettings,
    WorkerSettings,
    names_in,
)
from nightdesk.settings_texts import problems_with_texts, variable
from nightdesk.sinks.settings import ClickHouseSettings

DEFAULT_HOME = Path(".nightdesk")
_KEYS = " or ".join(name for spec in PROVIDERS for name in spec.environment)
ASK_A_MODEL = f"To ask a model set {_KEYS}, or see docs/how-to/providers.md"


class Settings(BaseSettings):
    """All settings. Build it with `load_settings`, which turns an invalid value into a clear `Failure`."""

    model_config = SettingsConfigDict(
        env_prefix="NIGHTDESK_", env_nested_delimiter="__", frozen=True, extra="forbid", env_ignore_empty=True
    )

    home: Path = DEFAULT_HOME
    installation: str = Field(
        default="nightdesk",
        min_length=1,
        max_length=200,
        description="the name of this installation: another one on the same topics refuses to start",
    )
    charters: Path = Path("charters")
    kafka: KafkaSettings = KafkaSettings()
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    anthropic: AnthropicSettings = Field(default_factory=AnthropicSettings)
    openai: OpenAISettings = OpenAISettings()
    connections: dict[str, ConnectionSettings] = Field(default_factory=dict)
    outside_topics: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="topics of others, separated by commas, that `kafka` handlers may produce to"
    )
    notify: dict[str, RouteSettings] = Field(default_factory=dict)
    smtp: SmtpSettings = SmtpSettings()
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    person: PersonSettings = PersonSettings()
    console: ConsoleSettings = ConsoleSettings()
    log: LogSettings = LogSettings()
    otlp: OtlpSettings = OtlpSettings()
    local: LocalSettings = LocalSettings()

    @field_validator("outside_topics", mode="before")
    @classmethod
    def _separated(cls, value: Any) -> Any:
        return names_in(value)

    @field_validator("outside_topics")
    @classmethod
    def _not_ours(cls, names: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        """Refuse our own topics, because a record there would be taken for one of a stage."""
        prefix = info.data["kafka"].topic_prefix if "kafka" in info.data else ""
        ours = sorted(name for name in names if prefix and name.startswith(prefix))
        if ours or (names and not prefix):
            raise ValueError(f"topics of Nightdesk are never outside topics: {', '.join(ours or sorted(names))}")
        return names

    @field_validator("notify")
    @classmethod
    def _routes_end_somewhere(cls, routes: dict[str, RouteSettings]) -> dict[str, RouteSettings]:
        check_chain({name: route.policy for name, route in routes.items()})
        return routes

    @model_validator(mode="after")
    def _texts_can_be_sent_and_printed(self) -> Self:
        """Raises `ValueError` for a secret that cannot be sent, and for an address with a secret in it."""
        if problems := problems_with_texts(self):
            raise ValueError("; ".join(problems))
        return self

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
    """The endpoints of the stack that runs in this home, if there is one."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("this source returns all its values together")

    def __call__(self) -> dict[str, Any]:
        stack = running_stack(Path(self.current_state.get("home", DEFAULT_HOME)))
        return stack.settings if stack else {}


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process. Raises `Failure`, which names each invalid variable."""
    try:
        return Settings(**overrides)
    except SettingsError as error:
        # Its text names the field; what it could not read may be a secret.
        raise Failure(f"bad settings: {error}", "Write it as JSON", FailureKind.INVALID) from None
    except ValidationError as error:
        problems = "; ".join(map(_problem, error.errors()))
        raise Failure(f"bad settings: {problems}", "Correct the environment variable", FailureKind.INVALID) from error


def providers_configured(settings: Settings) -> list[tuple[ProviderSpec[Any], ProviderSettings]]:
    """The model providers that these settings have credentials or an address for, each with its section."""
    found = [(spec, getattr(settings, spec.section)) for spec in PROVIDERS]
    return [(spec, section) for spec, section in found if spec.is_configured(section)]


def _problem(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    return f"{variable(tuple(map(str, error['loc'])))}: {message}" if error["loc"] else message
