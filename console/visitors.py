"""Who may come in, and what each may do: the persons of the token file, or the one who started the console.

The file holds the SHA-256 digest of each token and no token. A person with a `key_file` is proven: the console signs
their answers with it (docs/decisions/0023-identity-of-a-person.md). Without one the name is claimed, as on the command
line.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nightdesk.console.settings import ConsoleSettings
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import plain
from nightdesk.operations.persons import Person, PersonSettings, of_a_person

TOKEN_BYTES = 32


class Role(StrEnum):
    """What a person may do; each role may do what the roles before it may."""

    viewer = "viewer"
    approver = "approver"
    operator = "operator"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person with a role, for some agents; no agents means every one."""

    person: Person
    role: Role
    agents: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.person.name

    def sees(self, agent: str | None) -> bool:
        """Whether what belongs to this agent concerns the person. What belongs to no agent is for those with all."""
        return not self.agents or agent in self.agents

    def may(self, role: Role, agent: str | None = None) -> bool:
        """Whether the person may do what needs this role, for this agent."""
        return self.role.rank >= role.rank and self.sees(agent)

    def check(self, role: Role, agent: str | None = None) -> None:
        """Raises `Forbidden` unless the person may."""
        if not self.may(role, agent):
            raise Forbidden(
                f"this needs the role {role} for {agent or 'every agent'}: {self.name} has the role {self.role}"
            )


class Forbidden(Exception):
    """The person is known, and may not do this."""


class _Entry(BaseModel):
    """One person in the token file."""

    model_config = ConfigDict(extra="forbid")

    person: Annotated[str, Field(min_length=1)]
    token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    role: Role
    agents: frozenset[str] = frozenset()
    key_file: Path | None = None

    def visitor(self) -> Visitor:
        name = of_a_person(self.person)
        if self.key_file is None:
            return Visitor(Person(name), self.role, self.agents)
        person = Person.of(PersonSettings(key_file=self.key_file))
        if person.name != name:
            raise Failure(f"{self.key_file} is the key of {person.name} and not of {name}", kind=FailureKind.INVALID)
        return Visitor(person, self.role, self.agents)


class _TokenFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    persons: Annotated[list[_Entry], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Visitors:
    """Everybody who may come in, by the digest of their token."""

    by_digest: Mapping[str, Visitor]

    def with_token(self, token: str) -> Visitor | None:
        """The person who has this token."""
        return self.by_digest.get(digest(token))


def digest(token: str) -> str:
    """What the token file has of a token. Tokens are random, so one round is enough."""
    return sha256(token.encode()).hexdigest()


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def read_visitors(file: Path) -> Visitors:
    """The persons of a token file. Raises `Failure`, which never has its content."""
    try:
        entries = _TokenFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))).persons
    except OSError as error:
        raise _unfit(file, f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise _unfit(file, "is no YAML") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise _unfit(file, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    found = {entry.token_sha256: entry.visitor() for entry in entries}
    if len(found) < len(entries):
        raise _unfit(file, "two persons have one token")
    return Visitors(found)


def whoever_starts_it(settings: ConsoleSettings, person: Person) -> tuple[Visitors, str]:
    """The only visitor of a console without a token file, and the token."""
    token = plain(settings.token) or new_token()
    return Visitors({digest(token): Visitor(person, Role.operator)}), token


def _unfit(file: Path, problem: str) -> Failure:
    return Failure(f"the token file {file}: {problem}", "See docs/how-to/console.md for its form", FailureKind.INVALID)
