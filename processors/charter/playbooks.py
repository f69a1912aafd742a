"""The parts of a charter that say what an action does outside: playbooks' steps and the handlers they call.

`model.py` puts them into the charter; `processors/playbook/` and `effects/actions` read them.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from processors.charter.fields import (
    BodyTemplate,
    HandlerName,
    Identifier,
    Name,
    Names,
    Part,
    StepTemplate,
    UndoTemplate,
)
from processors.charter.quantities import DurationSeconds

# Not two slashes at the beginning: that would name a host.
PATH_PATTERN = r"^/([^/\\\s?#][^\\\s?#]*)?$"
# The step's own key, in a `reconcile` path.
KEY_VARIABLE = "idempotency_key"
_PATH_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def path_variables(path: str) -> tuple[str, ...]:
    """The names in braces: of `/customers/{customer}/history` it is `customer`."""
    return tuple(_PATH_VARIABLE.findall(path))


class Undo(Part):
    """How a step is taken back. `with` sees the step's `result`; without it the undo gets what the step got.

    A charter may write the handler's name alone.
    """

    do: HandlerName
    with_: dict[str, UndoTemplate] | None = Field(default=None, alias="with")


def _undo(value: Any) -> Any:
    return {"do": value} if isinstance(value, str) else value


class Step(Part):
    """One step of a playbook. `as` names its result for the steps after it (`steps.NAME`)."""

    do: HandlerName
    with_: dict[str, StepTemplate] = Field(default={}, alias="with")
    undo: Annotated[Undo, BeforeValidator(_undo, json_schema_input_type=str | Undo)] | None = None
    irreversible: bool = False
    as_: Identifier | None = Field(default=None, alias="as")

    @model_validator(mode="after")
    def _can_be_taken_back(self, info: ValidationInfo) -> Self:
        names = info.context
        if self.undo is not None and self.irreversible:
            raise ValueError("has an undo and says irreversible: true; keep one of them")
        if isinstance(names, Names) and self.undo is None and not self.irreversible and self.do not in names.read_only:
            remedy = "name its undo, or say irreversible: true (or read_only: true on the handler)"
            raise ValueError(f"{self.do} changes the world: {remedy}")
        return self


class HttpHandler(Part):
    """A call to an outside system. The charter names the connection; its host and token come from the settings.

    Names in braces in `path` are taken from the step's `with`; what is left of it is the body, unless `body` says else.
    `idempotent` says what a second call with the same key does: `key` the other side answers as before, `natural` it
    changes nothing more, `none` it acts again. A system that is away is waited for until `give_up_after`.
    `cache` says how long an answer is good for the same request. `reconcile` is the path of a GET that tells after a
    crash whether a call of an `idempotent: none` handler happened: 2xx it did, 404 it did not.
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

    @property
    def outside(self) -> str:
        """The system that is called; empty for a handler that calls none."""
        return self.connection

    @model_validator(mode="after")
    def _only_reads_are_cached(self) -> Self:
        if self.cache is not None and not self.read_only:
            raise ValueError("cache is for calls that change nothing: say read_only: true, or leave it away")
        return self

    @model_validator(mode="after")
    def _only_what_cannot_be_repeated_is_asked(self) -> Self:
        if self.reconcile is not None and self.idempotent != "none":
            raise ValueError("reconcile is for idempotent: none; whatever else is simply made again")
        return self

    @model_validator(mode="after")
    def _path_is_a_template(self) -> Self:
        if "{" in _PATH_VARIABLE.sub("", self.path) or "}" in _PATH_VARIABLE.sub("", self.path):
            raise ValueError(f"path {self.path!r}: write a variable as {{name}}, with one pair of braces")
        return self


class RemindHandler(Part):
    """Sends an event to ourselves later. The step's `with` holds `after` (24h), `type` and, as one likes, `data`."""

    type: Literal["remind"]
    read_only: Literal[True] = True

    @property
    def outside(self) -> str:
        return ""


class NoteHandler(Part):
    """Writes the step's `with` into the audit and does nothing else."""

    type: Literal["note"]
    read_only: Literal[True] = True

    @property
    def outside(self) -> str:
        return ""


class KafkaHandler(Part):
    """Produces the step's `with` as JSON to a topic of the settings' outside topics, under the case's subject."""

    type: Literal["kafka"]
    topic: Name
    read_only: Literal[False] = False

    @property
    def outside(self) -> str:
        return f"topic {self.topic}"


Handler = Annotated[HttpHandler | RemindHandler | NoteHandler | KafkaHandler, Field(discriminator="type")]
