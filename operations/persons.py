"""The person who gives an order: the machine's login name, which anyone can set, or a name with a key.

With `NIGHTDESK_PERSON__KEY_FILE` (a private JWK, Ed25519, whose `kid` is the person) an answer to an approval is signed
as a whole, so it cannot be used for another decision. The act worker verifies it with the public keys in
`NIGHTDESK_PERSON__KEYS_FILE`; a flag in a record would be trusted from anyone with write access.
"""

from __future__ import annotations

import getpass
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.settings import PersonSettings
from nightdesk.processors.provenance import signed_content
from nightdesk.schemas.audit import Identity
from nightdesk.schemas.foreign_text import visible
from nightdesk.schemas.persons import SYSTEM, is_of_the_system
from nightdesk.schemas.records import ApprovalReply

ALGORITHM = "Ed25519"
NAME_AT_MOST = 200
NAME_REMEDY = "Give the name of a person (LOGNAME)"


def claimed_name() -> str:
    """The login name of the machine. `LOGNAME=the-ceo` is enough to be the-ceo, so people are shown that the name is
    only claimed.

    Raises `Failure` for a name that no person has, and if there is none (in a container with a user id of its own).
    """
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        raise Failure(
            "this machine has no login name, and an order needs the name of a person", NAME_REMEDY, FailureKind.INVALID
        ) from None
    return of_a_person(name)


def of_a_person(name: str) -> str:
    """The name, if a person can have it: short, visible, and not like a name of the system. Raises `Failure`."""
    if not name.strip() or len(name) > NAME_AT_MOST or visible(name) != name:
        raise Failure(
            f"{visible(name[:40])!r} is no person's name: 1 to {NAME_AT_MOST} visible characters",
            NAME_REMEDY,
            FailureKind.INVALID,
        )
    if is_of_the_system(name):
        raise Failure(f"no person's name begins with {SYSTEM!r}", NAME_REMEDY, FailureKind.INVALID)
    return name


@dataclass(frozen=True, slots=True)
class Signer:
    """A person with a key."""

    name: str
    key: OKPKey

    @classmethod
    def of(cls, settings: PersonSettings) -> Signer | None:
        """None if no key is configured. Raises `Failure` for a file without one."""
        if settings.key_file is None:
            return None
        document = _document(settings.key_file, "NIGHTDESK_PERSON__KEY_FILE")
        name = document.get("kid") if isinstance(document, dict) else None
        try:
            if isinstance(name, str) and name.strip() and not is_of_the_system(name) and "d" in document:
                key = OKPKey.import_key(document)
                if key.curve_name == ALGORITHM:
                    return cls(name, key)
        except (JoseError, ValueError):
            pass
        raise _unfit(settings.key_file, "a private Ed25519 JWK whose kid is the person's name")

    def sign(self, reply: ApprovalReply) -> ApprovalReply:
        """The answer with this person's signature over its whole content."""
        named = reply.model_copy(update={"person": self.name})
        header = {"alg": ALGORITHM, "kid": self.name}
        signature = jws.serialize_compact(header, signed_content(named), self.key, algorithms=[ALGORITHM])
        return named.model_copy(update={"signature": signature})


@dataclass(frozen=True, slots=True)
class KeyHolders:
    """The persons with known public keys; implements `nightdesk.streams.ports.Persons`."""

    keys: dict[str, OKPKey]
    required: bool = False

    @classmethod
    def of(cls, settings: PersonSettings) -> KeyHolders:
        """Raises `Failure` for a file without keys, and if signatures are required but no key is known."""
        if settings.keys_file is None:
            if settings.required:
                raise Failure(
                    "signed approvals are required and no keys are known",
                    "Set NIGHTDESK_PERSON__KEYS_FILE to a JWKS of public keys",
                    FailureKind.NOT_CONFIGURED,
                )
            return cls({})
        document = _document(settings.keys_file, "NIGHTDESK_PERSON__KEYS_FILE")
        try:
            found = KeySet.import_key_set(document).keys
            keys = {
                str(key.kid): key
                for key in found
                if isinstance(key, OKPKey) and key.curve_name == ALGORITHM and key.kid
            }
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            keys = {}
        if not keys:
            raise _unfit(settings.keys_file, "a JWKS of Ed25519 keys, each with the person's name as kid")
        return cls(keys, settings.required)

    def identity(self, reply: ApprovalReply) -> Identity:
        """Whether the person's own key signed exactly this."""
        key = self.keys.get(reply.person)
        if key is None:
            return "claimed"
        try:
            found = jws.deserialize_compact(reply.signature, key, algorithms=[ALGORITHM])
        except (JoseError, ValueError):
            return "forged"
        return "verified" if found.payload == signed_content(reply) else "forged"


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever answers or orders something: the name, the key that proves it, if there is one, and the login at the
    identity provider (issuer and subject, with a space between them), if there was one.
    """

    name: str
    signer: Signer | None = None
    login: str = ""

    @classmethod
    def of(cls, settings: PersonSettings) -> Person:
        """Who works on this machine, by the key of the settings or else by the login name. Raises `Failure`."""
        signer = Signer.of(settings)
        return cls(claimed_name()) if signer is None else cls(signer.name, signer)


def _document(file: Path, variable: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"  # never its content
        raise Failure(f"{file} cannot be read: {reason}", f"Correct {variable}", FailureKind.INVALID) from None


def _unfit(file: Path, wanted: str) -> Failure:
    return Failure(f"{file} is not {wanted}", "See docs/how-to/approvals.md", FailureKind.INVALID)
