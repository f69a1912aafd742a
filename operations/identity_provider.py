"""Logs a person in at an identity provider: OpenID Connect's authorization code flow with PKCE.

`begin` makes the address to send the browser to, `finish` exchanges the code that it brings back. The ID token must be
signed with a key of the provider, be for us, and carry the nonce of this login.
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import plain
from nightdesk.operations.settings import OidcSettings
from nightdesk.schemas.foreign_text import visible

ANSWER_WITHIN_S = 10.0
CLOCKS_DIFFER_S = 60
SUBJECT_AT_MOST = 255  # OpenID Connect Core, section 2
# Signatures with a key that only the provider has; `none` and shared secrets are not among them.
ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]
TIMEOUT = httpx2.Timeout(ANSWER_WITHIN_S)


@dataclass(frozen=True, slots=True)
class Login:
    """One login that has begun. Whoever brings back `state` from the provider must be the browser that began it."""

    address: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who logged in at the provider. `login` has the issuer and the person's subject there, which stays the same when
    names change.
    """

    name: str
    groups: frozenset[str]
    login: str


class IdentityProvider:
    """The provider of the settings. It is asked at the first login, and not at the start."""

    def __init__(self, settings: OidcSettings, returns_to: str) -> None:
        self._settings = settings
        self._returns_to = returns_to
        self._asking = threading.Lock()
        self._endpoints: dict[str, str] = {}
        self._keys: KeySet | None = None

    def begin(self) -> Login:
        """A new login. Raises `Failure` if the provider does not answer."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._returns_to,
            "scope": self._settings.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = self._endpoint("authorization_endpoint")
        joined = "&" if "?" in address else "?"
        return Login(f"{address}{joined}{urlencode(asked)}", state, nonce, verifier)

    def finish(self, login: Login, code: str) -> Identity:
        """The person who logged in. Raises `Failure` if the provider does not say who it is."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._returns_to,
            "client_id": self._settings.client_id,
            "code_verifier": login.verifier,
        }
        secret = plain(self._settings.client_secret)
        auth = httpx2.BasicAuth(self._settings.client_id, secret) if secret else None
        answer = _json(lambda: httpx2.post(self._endpoint("token_endpoint"), data=form, auth=auth, timeout=TIMEOUT))
        return self._identity(self._claims(str(answer.get("id_token", "")), login.nonce))

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of a valid token. The provider may have changed its keys since they were read."""
        with self._asking:
            known = self._keys
        for keys in (known, None):
            try:
                return self._checked(token, nonce, self._read() if keys is None else keys)
            except (JoseError, ValueError):
                continue
        raise _no_identity("its ID token is not valid")

    def _checked(self, token: str, nonce: str, keys: KeySet) -> dict[str, Any]:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            leeway=CLOCKS_DIFFER_S,
            iss={"essential": True, "value": self._settings.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
        return claims

    def _identity(self, claims: dict[str, Any]) -> Identity:
        name, groups = claims.get(self._settings.claim), claims.get(self._settings.groups_claim, [])
        if not isinstance(name, str) or not name.strip():
            raise _no_identity(f"its ID token has no {self._settings.claim}")
        if self._settings.claim == "email" and claims.get("email_verified") is not True:
            raise _no_identity("it has not verified the e-mail address")
        subject = visible(str(claims["sub"]))[:SUBJECT_AT_MOST]
        of = frozenset(map(str, groups)) if isinstance(groups, list) else frozenset[str]()
        return Identity(name.strip(), of, f"{self._settings.issuer} {subject}")

    def _read(self) -> KeySet:
        keys = KeySet.import_key_set(_json(lambda: httpx2.get(self._endpoint("jwks_uri"), timeout=TIMEOUT)))  # type: ignore[arg-type]
        with self._asking:
            self._keys = keys
        return keys

    def _endpoint(self, name: str) -> str:
        with self._asking:
            if not self._endpoints:
                address = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
                found = _json(lambda: httpx2.get(address, timeout=TIMEOUT))
                if found.get("issuer") != self._settings.issuer:
                    raise _no_identity("the issuer that it names is not that of the settings")
                self._endpoints = {key: value for key, value in found.items() if isinstance(value, str)}
            address = self._endpoints.get(name, "")
        if not address:
            raise _no_identity(f"its configuration has no {name}")
        return address


def _json(ask: Callable[[], httpx2.Response]) -> dict[str, Any]:
    """The provider's answer. Raises `Failure`, whose text never has anything of the request or the answer."""
    try:
        answer = ask()
        found = answer.json() if answer.is_success else None
    except (httpx2.HTTPError, ValueError) as error:
        raise Failure(
            f"the identity provider does not answer: {type(error).__name__}",
            "Look whether NIGHTDESK_CONSOLE__OIDC__ISSUER can be reached from the console",
            FailureKind.UNREACHABLE,
        ) from None
    if not isinstance(found, dict):
        raise _no_identity(f"it answered with status {answer.status_code}")
    return found


def _no_identity(why: str) -> Failure:
    return Failure(f"the login at the identity provider is not valid: {why}", "Log in again", FailureKind.INVALID)
