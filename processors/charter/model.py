"""The charter: the one file that defines an agent, as frozen models.

`parsing.py` creates it from YAML, `compiled.py` compiles it, `schema.py` derives the JSON Schema for editors. Field
names are the keys of the file; `docs/charter.md` explains each.
"""

from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BeforeValidator, Field, model_validator

from nightdesk.processors.charter.actions import Action
from nightdesk.processors.charter.allowances import Anomalies, Bounds, Budget, Limits, Queue
from nightdesk.processors.charter.baselines import Baseline
from nightdesk.processors.charter.fields import (
    NOT_EMPTY,
    ActionName,
    CaseExpression,
    CaseTemplate,
    CaseText,
    DecisionExpression,
    EventExpression,
    JsonSchema,
    Name,
    Part,
    PromptFile,
    TextFile,
)
from nightdesk.processors.charter.handlers import CharterHandler
from nightdesk.processors.charter.playbooks import Step
from nightdesk.processors.model import TokenPrice
from nightdesk.processors.quantities import DurationSeconds, Probability
from nightdesk.schemas.records import EventClass

RULES = "rules"
UNAVAILABLE_AT_MOST_S = 6 * 3_600  # the default

ProviderName = Literal["anthropic", "openai-compatible", "rules"]
WhenUnavailable = Literal["wait", "rules", "escalate"]


# A pattern of `processors/redaction.py`, or a path into the event's data.
Redaction = Annotated[str, Field(pattern=r"^(emails|long_numbers|data(\.[^.\s]+)+)$", max_length=200)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Providers = Annotated[
    tuple[ProviderName, ...],
    NOT_EMPTY,
    BeforeValidator(_listed, json_schema_input_type=ProviderName | tuple[ProviderName, ...]),
]


class Trigger(Part):
    """Selects events that the agent decides about. `subject` is a glob (`ticket/*`); `schema` replaces the charter's.
    `baseline` is that of the actions without one.
    """

    type: str = Field(min_length=1)
    when: EventExpression | None = None
    subject: str | None = None
    data_schema: JsonSchema | None = Field(default=None, alias="schema")
    baseline: Baseline | None = None


class Votes(Part):
    """Ask the model `ask` times; a decision needs `agree` equal answers. `same` names parameters that must be equal
    too.
    """

    ask: int = Field(ge=2, le=9)
    agree: int = Field(ge=2, le=9)
    only_for: tuple[ActionName, ...] = ()
    same: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _can_agree(self) -> Self:
        if self.agree > self.ask:
            raise ValueError(f"agree: {self.agree} can never be reached with ask: {self.ask}")
        return self


class Decide(Part):
    """Who decides, in the order of `provider`, and how a model is asked."""

    provider: Providers
    model: str | None = None
    models: dict[ProviderName, str] = Field(default={}, description="The model's name where a provider has another")
    prompt: PromptFile | None = None
    examples: TextFile | None = None
    votes: Votes | None = None
    max_output_tokens: int = Field(default=1024, ge=64, le=64_000)
    timeout: DurationSeconds = 30
    effort: Literal["low", "medium", "high"] | None = None
    prices: dict[str, TokenPrice] = Field(default={})
    when_unavailable: WhenUnavailable | None = None
    wait_at_most: DurationSeconds | None = Field(default=None, ge=1, le=30 * 86_400)

    @property
    def unavailable_policy(self) -> WhenUnavailable:
        """What becomes of a step while no model is available: the rules decide if there are rules, otherwise it
        waits.
        """
        return self.when_unavailable or ("rules" if RULES in self.provider else "wait")

    @property
    def longest_wait_s(self) -> int:
        """The longest time, in seconds, that a step waits for a model before a person gets the case."""
        return self.wait_at_most or UNAVAILABLE_AT_MOST_S

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """The providers that are models."""
        return tuple(name for name in self.provider if name != RULES)

    @model_validator(mode="after")
    def _has_what_a_model_needs(self) -> Self:
        if len(set(self.provider)) != len(self.provider):
            raise ValueError("provider has a duplicate")
        if RULES in self.provider[:-1]:
            raise ValueError("provider: rules always answer, so they come last")
        if self.asked and self.prompt is None:
            raise ValueError(f"{self.asked[0]} needs a prompt: name a file beside the charter")
        unnamed = [name for name in self.asked if self.model is None and name not in self.models]
        if unnamed:
            raise ValueError(f"{unnamed[0]} needs a model: name one with model, or with models for this provider alone")
        return self


class Rule(Part):
    """A condition on a decision. `for` restricts it to some actions."""

    name: Name
    require: DecisionExpression
    for_: tuple[ActionName, ...] = Field(default=(), alias="for")
    message: str = ""
    otherwise: Literal["refuse", "needs_approval", "escalate"] = "refuse"


class DeadLetters(Part):
    """How later events of a subject are handled after a dead letter of that subject."""

    park_subject: bool = Field(default=False, description="later ones wait until it is replayed or discarded")


class FallbackRule(Part):
    """A decision without a model. The first rule whose `when` is true decides; a rule without `when` always matches."""

    when: CaseExpression | None = None
    action: ActionName
    confidence: Probability = 1.0
    parameters: dict[str, CaseTemplate] = Field(default={})
    reasoning: CaseText = ""


class Charter(Part):
    """One agent. `version` is the hash of all content, including the files that it names."""

    agent: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    description: str = ""
    on: Annotated[tuple[Trigger, ...], NOT_EMPTY]
    exclusive: bool = Field(default=False, description="an event that it takes is offered to no other exclusive agent")
    order: int = Field(
        default=100,
        ge=0,
        le=1_000_000,
        description="exclusive agents are offered an event by this number, then by name",
    )
    data_schema: JsonSchema | None = Field(default=None, alias="schema")
    decide: Decide
    actions: Annotated[dict[Name, Action], NOT_EMPTY]
    rules: tuple[Rule, ...] = ()
    playbooks: dict[ActionName, tuple[Step, ...]] = Field(default={})
    handlers: dict[Name, CharterHandler] = Field(default={})
    limits: Limits = Limits()
    budget: Budget = Budget()
    queue: Queue = Queue()
    anomalies: Anomalies | None = None
    bounds: Bounds = Bounds()
    confidence_floor: Probability = 0.7
    fallback: tuple[FallbackRule, ...] = ()
    dead_letters: DeadLetters = DeadLetters()
    notify: dict[Name, tuple[EventClass, ...]] = Field(default={}, description="classes of events by route")
    redact: tuple[Redaction, ...] = Field(
        default=(), description="what the audit does not keep of prompts and replies: patterns, and values of the event"
    )
    mode: Literal["dry_run", "live"] = "dry_run"

    @cached_property
    def version(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of `to_json`."""
        return sha256(self.to_json().encode()).hexdigest()[:16]

    @property
    def watches_errors(self) -> bool:
        """Whether the charter bounds errors, so that the outcome of its playbooks is recorded in the ledger."""
        return self.anomalies is not None and self.anomalies.error_rate is not None

    def to_json(self) -> str:
        """Canonical JSON: sorted keys and no defaults, so that a new optional key does not change an existing charter's
        version.
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
