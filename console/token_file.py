"""Reads the token file: persons with a token or a name at the identity provider, groups, and teams of agents.

The file holds the SHA-256 digest of each token and no token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nightdesk.console.visitors import GroupRole, Role, Visitor, Visitors
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.persons import Person, of_a_person
from nightdesk.operations.settings import PersonSettings

Name = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Scope(_Part):
    """A role, for some agents. A team stands for its agents; without either it is for every agent."""

    role: Role
    agents: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()

    def agents_with(self, teams: dict[str, frozenset[str]]) -> frozenset[str]:
        return self.agents.union(*(teams[team] for team in self.teams))


class _Entry(_Scope):
    """One person, who logs in with a token, at the identity provider (`login`), or with both. `slack` (the ids of team
    and user) and `webhook` (a name) identify the person in answers from there.
    """

    person: Name
    token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    login: Name | None = None
    slack: Annotated[str, Field(pattern=r"^[A-Z0-9]+/[A-Z0-9]+$")] | None = None
    webhook: Name | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.token_sha256 is None and self.login is None and not self.outside:
            raise ValueError("give token_sha256 or login, or slack or webhook")
        return self

    @property
    def outside(self) -> list[str]:
        """The names by which answers from Slack and from webhooks identify the person."""
        named = {"slack": self.slack, "webhook": self.webhook}
        return [f"{kind}:{name}" for kind, name in named.items() if name is not None]

    def visitor(self, teams: dict[str, frozenset[str]]) -> Visitor:
        name = of_a_person(self.person)
        if self.key_file is None:
            return Visitor(Person(name), self.role, self.agents_with(teams))
        person = Person.of(PersonSettings(key_file=self.key_file))
        if person.name != name:
            raise Failure(f"{self.key_file} is the key of {person.name} and not of {name}", kind=FailureKind.INVALID)
        return Visitor(person, self.role, self.agents_with(teams))


class _Group(_Scope):
    """Everybody in one group of the identity provider."""

    group: Name


class _TokenFile(_Part):
    """The whole file."""

    teams: dict[Name, Annotated[frozenset[str], Field(min_length=1)]] = Field(default={})
    persons: list[_Entry] = Field(default=[])
    groups: list[_Group] = Field(default=[])

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.persons and not self.groups:
            raise ValueError("the file names nobody: give persons or groups")
        unknown = sorted(team for one in (*self.persons, *self.groups) for team in one.teams - self.teams.keys())
        if unknown:
            raise ValueError(f"there is no team {unknown[0]}")
        return self


def read_visitors(file: Path) -> Visitors:
    """The persons of a token file. Raises `Failure`, which never has its content."""
    try:
        found = _TokenFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise _unfit(file, f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise _unfit(file, "is no YAML") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise _unfit(file, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    with_token = [one for one in found.persons if one.token_sha256 is not None]
    with_login = [one for one in found.persons if one.login is not None]
    by_digest = {one.token_sha256 or "": one.visitor(found.teams) for one in with_token}
    by_login = {(one.login or "").casefold(): one.visitor(found.teams) for one in with_login}
    if len(by_digest) < len(with_token):
        raise _unfit(file, "two persons have one token")
    if len(by_login) < len(with_login):
        raise _unfit(file, "two persons have one login")
    elsewhere = [(name, one) for one in found.persons for name in one.outside]
    outside = {name: one.visitor(found.teams) for name, one in elsewhere}
    if len(outside) < len(elsewhere):
        raise _unfit(file, "two persons have one name in Slack or of a webhook")
    groups = [GroupRole(one.group, one.role, one.agents_with(found.teams)) for one in found.groups]
    return Visitors(by_digest, by_login, groups, outside)


def _unfit(file: Path, problem: str) -> Failure:
    return Failure(f"the token file {file}: {problem}", "See docs/how-to/console.md for its form", FailureKind.INVALID)
