"""Says who may log in, and what each may do: the persons of the token file, or the one who started the console.

If a person has a key, the console signs their answers with it, which proves who they are
(docs/decisions/0023-identity-of-a-person.md). Without a key the name is only claimed, as on the command line.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256

from nightdesk.console.settings import ConsoleSettings
from nightdesk.messaging.settings import plain
from nightdesk.operations.identity_provider import Identity
from nightdesk.operations.persons import Person, of_a_person

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
        """Whether what belongs to this agent concerns the person. What belongs to no agent concerns only persons whose
        role is for every agent.
        """
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


@dataclass(frozen=True, slots=True)
class GroupRole:
    """What everybody in a group of the identity provider may do."""

    group: str
    role: Role
    agents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Visitors:
    """Everybody who may log in: by the digest of their token, by the name at the identity provider, and by group.
    `outside` are those who answer approvals from elsewhere: by `slack:TEAM/USER` or `webhook:NAME`.
    """

    by_digest: Mapping[str, Visitor] = field(default_factory=dict)
    by_login: Mapping[str, Visitor] = field(default_factory=dict)
    groups: Sequence[GroupRole] = ()
    outside: Mapping[str, Visitor] = field(default_factory=dict)

    def with_token(self, token: str) -> Visitor | None:
        """The person who has this token."""
        return self.by_digest.get(digest(token))

    def with_identity(self, identity: Identity) -> Visitor | None:
        """The person who logged in at the identity provider. Without an entry of their own, the first group in the
        file that they are in counts. Raises `Failure` for a name of the system.
        """
        found = self.by_login.get(identity.name.casefold())
        if found is not None:
            return replace(found, person=replace(found.person, login=identity.login))
        of = next((one for one in self.groups if one.group in identity.groups), None)
        if of is None:
            return None
        return Visitor(Person(of_a_person(identity.name), login=identity.login), of.role, of.agents)


def digest(token: str) -> str:
    """The digest of a token, which the token file has. Tokens are random, so one round of hashing is enough."""
    return sha256(token.encode()).hexdigest()


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def whoever_starts_it(settings: ConsoleSettings, person: Person) -> tuple[Visitors, str]:
    """The only visitor of a console without a token file, and the token."""
    token = plain(settings.token) or new_token()
    return Visitors({digest(token): Visitor(person, Role.operator)}), token
