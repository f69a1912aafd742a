"""The handlers of a charter: the types that exist, the keys of each, and how their calls are made.

`effects/handlers/registry.py` has the code that performs each type.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from nightdesk.processors.charter.fields import BodyTemplate, Name, Part
from nightdesk.processors.quantities import DurationSeconds

# Two slashes at the beginning would name a host.
PATH_PATTERN = r"^/([^/\\\s?#][^\\\s?#]*)?$"
# 2xx means that the call happened, and a status below 400 proves nothing.
ErrorStatus = Annotated[int, Field(ge=400, le=599, strict=True)]


def _sorted(statuses: tuple[int, ...]) -> tuple[int, ...]:
    """Sorted, so that two charters with the same list have one version."""
    return tuple(sorted(set(statuses)))


# The step's own key, in a `reconcile` path.
KEY_VARIABLE = "idempotency_key"
_PATH_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def path_variables(path: str) -> tuple[str, ...]:
    """The names in braces: for `/customers/{customer}/history` it is `customer`."""
    return tuple(_PATH_VARIABLE.findall(path))


@dataclass(frozen=True, slots=True)
class CallRules:
    """How calls of a handler are made. Every type of handler derives these from its keys.

    `retries`: how often a failed call is made again. `give_up_after_s`: how long to wait for a system that is away;
    None if no system is called. `cache_s`: how long a result may be used again for the same request. `timeout_s`: the
    longest time that a call may take. `settles_within_s`: how long after it was sent a call may still arrive on the
    other side; None if the charter does not say.
    """

    retries: int = 0
    give_up_after_s: int | None = None
    cache_s: int | None = None
    timeout_s: int = 0
    settles_within_s: int | None = None


class HandlerPart(Part):
    """What all types of handlers share. `outside` names the system that is called; empty if none is."""

    @property
    def outside(self) -> str:
        return ""

    @property
    def call_rules(self) -> CallRules:
        return CallRules()


class HttpHandler(HandlerPart):
    """A call to an outside system. The charter names the connection; its host and token come from the settings.

    Names in braces in `path` are taken from the step's `with`; the remaining values are the body, unless `body` is set.

    - `idempotent` declares the effect of a second call with the same key: `key`: the other side repeats its first
      response; `natural`: nothing more changes; `none`: it acts again.
    - `give_up_after`: how long the step waits for a system that is away.
    - `cache`: how long a response is valid for the same request.
    - `reconcile`: the path of a GET that tells whether a call of an `idempotent: none` handler happened: 2xx it did,
      404 there is no such call.
    - `settles_within`: a 404 counts as proof only after this time since the call was sent, because a request can wait
      on the other side for longer than our timeout.
    - `did_not_happen`: the statuses with which the other side promises that it did nothing.
    """

    type: Literal["http"]
    connection: Name
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: str = Field(pattern=PATH_PATTERN)
    body: BodyTemplate | None = None
    idempotent: Literal["key", "natural", "none"] = "key"
    read_only: bool = False
    timeout: DurationSeconds = 10
    retries: int = Field(default=3, ge=0, le=10)
    give_up_after: DurationSeconds = 86_400
    cache: DurationSeconds | None = None
    reconcile: str | None = Field(default=None, pattern=PATH_PATTERN)
    settles_within: DurationSeconds | None = None
    did_not_happen: Annotated[tuple[ErrorStatus, ...], AfterValidator(_sorted)] = ()

    @property
    def repeatable(self) -> bool:
        """Whether a second call with the same key has no second effect."""
        return self.idempotent != "none" or self.read_only

    @property
    def outside(self) -> str:
        return self.connection

    @property
    def call_rules(self) -> CallRules:
        return CallRules(
            retries=self.retries,
            give_up_after_s=self.give_up_after,
            cache_s=self.cache,
            timeout_s=self.timeout,
            settles_within_s=self.settles_within,
        )

    @model_validator(mode="after")
    def _only_reads_are_cached(self) -> Self:
        if self.cache is not None and not self.read_only:
            raise ValueError("cache is for calls that change nothing: set read_only: true, or remove cache")
        return self

    @model_validator(mode="after")
    def _only_what_cannot_be_repeated_is_asked(self) -> Self:
        if self.reconcile is not None and self.idempotent != "none":
            raise ValueError("reconcile is for idempotent: none; other calls are simply repeated")
        return self

    @model_validator(mode="after")
    def _settles_after_it_was_sent(self) -> Self:
        if self.settles_within is None:
            return self
        if self.reconcile is None:
            raise ValueError("settles_within needs reconcile: it says when the answer of reconcile is final")
        if self.settles_within <= self.timeout:
            raise ValueError(f"settles_within counts from sending: make it longer than timeout ({self.timeout}s)")
        return self

    @model_validator(mode="after")
    def _only_writes_can_have_happened(self) -> Self:
        if self.did_not_happen and self.read_only:
            raise ValueError("did_not_happen is for calls that change something: remove it, or remove read_only: true")
        return self

    @model_validator(mode="after")
    def _path_is_a_template(self) -> Self:
        if "{" in _PATH_VARIABLE.sub("", self.path) or "}" in _PATH_VARIABLE.sub("", self.path):
            raise ValueError(f"path {self.path!r}: write a variable as {{name}}, with one pair of braces")
        return self


class RemindHandler(HandlerPart):
    """Sends an event to ourselves later. The step's `with` holds `after` (24h), `type` and optionally `data`."""

    type: Literal["remind"]
    read_only: Literal[True] = True


class NoteHandler(HandlerPart):
    """Writes the step's `with` into the audit and does nothing else."""

    type: Literal["note"]
    read_only: Literal[True] = True


class KafkaHandler(HandlerPart):
    """Produces the step's `with` as JSON to a topic of the settings' outside topics, under the case's subject."""

    type: Literal["kafka"]
    topic: Name
    read_only: Literal[False] = False

    @property
    def outside(self) -> str:
        return f"topic {self.topic}"


# A type of handler is added here, and its specification in effects/handlers/registry.py.
CharterHandler = Annotated[
    HttpHandler | RemindHandler | NoteHandler | KafkaHandler,
    Field(discriminator="type"),
]
HANDLER_TYPES: dict[str, type[HandlerPart]] = {
    get_args(part.model_fields["type"].annotation)[0]: part for part in get_args(get_args(CharterHandler)[0])
}
# Types that change nothing, whatever a handler's keys say.
READ_ONLY_TYPES = frozenset(
    name for name, part in HANDLER_TYPES.items() if get_args(part.model_fields["read_only"].annotation) == (True,)
)
# Types that reach nothing outside: the flow of the playbook performs them.
DONE_BY_THE_PLAYBOOK = frozenset({"remind"})
