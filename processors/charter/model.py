"""The charter: the one file that defines an agent, as frozen models.

`parsing.py` makes it from YAML, `compiled.py` compiles it, `schema.py` makes the JSON Schema for editors. Names here
are the words of the file; `docs/charter.md` explains each.
"""

from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BeforeValidator, Field, model_validator

from processors.charter.allowances import Anomalies, Bounds, Budget, Limits
from processors.charter.fields import (
    NOT_EMPTY,
    ActionName,
    DecisionExpression,
    EventExpression,
    EventTemplate,
    EventText,
    JsonSchema,
    Name,
    Part,
    PromptFile,
    TextFile,
)
from processors.charter.playbooks import Handler, Step
from processors.charter.quantities import DurationSeconds, Probability
from processors.model import TokenPrice
from schemas.records import Kind

RULES = "rules"
WAIT_AT_MOST_S = 30 * 86_400  # where the charter does not say

ProviderName = Literal["anthropic", "openai-compatible", "rules"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Providers = Annotated[
    tuple[ProviderName, ...],
    NOT_EMPTY,
    BeforeValidator(_listed, json_schema_input_type=ProviderName | tuple[ProviderName, ...]),
]


class Trigger(Part):
    """An event that the agent decides about. `subject` is a glob (`ticket/*`); `schema` replaces the charter's."""

    type: str = Field(min_length=1)
    when: EventExpression | None = None
    subject: str | None = None
    data_schema: JsonSchema | None = Field(default=None, alias="schema")


class Votes(Part):
    """Ask the model `ask` times; a decision needs `agree` of them. `same` names parameters that must be equal too."""

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

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """The providers that are models."""
        return tuple(name for name in self.provider if name != RULES)

    @model_validator(mode="after")
    def _has_what_a_model_needs(self) -> Self:
        if len(set(self.provider)) != len(self.provider):
            raise ValueError("provider names one provider twice")
        if RULES in self.provider[:-1]:
            raise ValueError("provider: rules always answer, so they come last")
        if self.asked and self.prompt is None:
            raise ValueError(f"{self.asked[0]} needs a prompt: name a file beside the charter")
        unnamed = [name for name in self.asked if self.model is None and name not in self.models]
        if unnamed:
            raise ValueError(f"{unnamed[0]} needs a model: name one with model, or with models for this provider alone")
        return self


class Action(Part):
    """Something the agent may do; what is not named here cannot happen.

    `parameters` is the JSON Schema of the decision's parameters; without one there are none. `at_most` bounds a `wait`.
    """

    kind: Kind
    description: str = ""
    confidence: Probability = 0.0
    approval: Literal["never", "always", "below_threshold"] = "below_threshold"
    writes: bool = False
    parameters: JsonSchema | None = None
    at_most: DurationSeconds | None = None

    @property
    def longest_wait_s(self) -> int:
        """How long a case may wait with this action."""
        return self.at_most or WAIT_AT_MOST_S

    @model_validator(mode="after")
    def _waits(self) -> Self:
        if self.at_most is not None and self.kind != "wait":
            raise ValueError("at_most is for actions of kind wait")
        return self


class Rule(Part):
    """What must hold of a decision before anything happens. `for` narrows it to some actions."""

    name: Name
    require: DecisionExpression
    for_: tuple[ActionName, ...] = Field(default=(), alias="for")
    message: str = ""
    otherwise: Literal["refuse", "needs_approval", "escalate"] = "refuse"


class DeadLetters(Part):
    """What holds for the rest of a subject when one of its events could not be done."""

    park_subject: bool = Field(default=False, description="later ones wait until it is replayed or discarded")


class FallbackRule(Part):
    """What to decide without a model. The first whose `when` holds decides; without a `when` it always does."""

    when: EventExpression | None = None
    action: ActionName
    confidence: Probability = 1.0
    parameters: dict[str, EventTemplate] = Field(default={})
    reasoning: EventText = ""


class Charter(Part):
    """One agent. `version` is the hash of everything in it, the files it names included."""

    agent: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    description: str = ""
    on: Annotated[tuple[Trigger, ...], NOT_EMPTY]
    data_schema: JsonSchema | None = Field(default=None, alias="schema")
    decide: Decide
    actions: Annotated[dict[Name, Action], NOT_EMPTY]
    rules: tuple[Rule, ...] = ()
    playbooks: dict[ActionName, tuple[Step, ...]] = Field(default={})
    handlers: dict[Name, Handler] = Field(default={})
    limits: Limits = Limits()
    budget: Budget = Budget()
    anomalies: Anomalies | None = None
    bounds: Bounds = Bounds()
    confidence_floor: Probability = 0.5
    fallback: tuple[FallbackRule, ...] = ()
    dead_letters: DeadLetters = DeadLetters()
    mode: Literal["dry_run", "live"] = "dry_run"

    @cached_property
    def version(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of `to_json`."""
        return sha256(self.to_json().encode()).hexdigest()[:16]

    @property
    def watches_errors(self) -> bool:
        """Whether anybody asks how playbooks went."""
        return self.anomalies is not None and self.anomalies.error_rate is not None

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, and no defaults, so that a new optional key changes no old charter's version."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
