"""The model providers that a charter can name: the name of each, its settings, and how it is built.

Everything that depends on the providers is derived from `PROVIDERS` or held to it by a test: the charter's provider
names, the settings, `nightdesk doctor`, the Helm chart, the compose file and docs/how-to/providers.md. A provider's
client is imported when it is built, because commands that ask no model read the settings too.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from nightdesk.effects.llm.protocol import Provider


class ProviderSettings(BaseModel):
    """The settings of a provider. Fields are texts or secrets; the chart offers each of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: SecretStr | None = None
    base_url: str | None = None


S = TypeVar("S", bound=ProviderSettings)


@dataclass(frozen=True, slots=True)
class ProviderSpec(Generic[S]):
    """One provider.

    `name` is the one that charters use and `section` that of its settings (`NIGHTDESK_<SECTION>__API_KEY`). `address`
    is its address if the settings have no `base_url`; empty if it has no default. `environment` are variables of the
    provider's own tools that are read, too. `build` takes the settings and the number of concurrent calls.
    """

    name: str
    section: str
    settings: type[S]
    is_configured: Callable[[S], bool]
    build: Callable[[S, int], Provider]
    address: str = ""
    environment: tuple[str, ...] = ()


class AnthropicSettings(ProviderSettings):
    """Falls back to the names that Anthropic's own tools read."""

    api_key: SecretStr | None = Field(default_factory=lambda: _secret_from("ANTHROPIC_API_KEY"))
    base_url: str | None = Field(default_factory=lambda: os.environ.get("ANTHROPIC_BASE_URL"))


def _anthropic(settings: AnthropicSettings, calls_at_once: int) -> Provider:
    from nightdesk.effects.llm.anthropic import AnthropicProvider

    return AnthropicProvider(settings.api_key, settings.base_url, calls_at_once)


ANTHROPIC = ProviderSpec(
    name="anthropic",
    section="anthropic",
    settings=AnthropicSettings,
    is_configured=lambda settings: settings.api_key is not None,
    build=_anthropic,
    address="https://api.anthropic.com",
    environment=("ANTHROPIC_API_KEY",),
)


class OpenAISettings(ProviderSettings):
    """Any server that speaks `/chat/completions`; `base_url` ends before that path."""


def _openai(settings: OpenAISettings, calls_at_once: int) -> Provider:
    from nightdesk.effects.llm.openai import Endpoint, OpenAIProvider

    assert settings.base_url is not None
    return OpenAIProvider(Endpoint(settings.base_url, settings.api_key), calls_at_once)


OPENAI = ProviderSpec(
    name="openai-compatible",
    section="openai",
    settings=OpenAISettings,
    is_configured=lambda settings: settings.base_url is not None,
    build=_openai,
)

PROVIDERS: tuple[ProviderSpec[Any], ...] = (
    ANTHROPIC,
    OPENAI,
)


def _secret_from(variable: str) -> SecretStr | None:
    value = os.environ.get(variable)
    return SecretStr(value) if value else None
