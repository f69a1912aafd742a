"""Checks the texts of all settings in one walk: each secret can be sent as it is, and no secret stands where texts are
printed.

A client that cannot send a secret raises an error of its own when it is used, often with the secret in it, and long
after the start. The walk knows no section, so a new setting is checked without being named here. A message names the
variable, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from nightdesk.messaging.settings import login_and_rest, server_of, without_login

Location = tuple[str, ...]

# These have a login of their own in the url; nobody prints it (`messaging.settings.without_login`).
LOGIN_IN_URL = frozenset({("schema_registry", "url"), ("clickhouse", "url")})
# Addresses that are printed; the empty text is none.
ADDRESSES = frozenset({"url", "base_url", "endpoint", "issuer", "responses", "maven_url"})
HOSTS = frozenset({"bootstrap_servers", "host", "metrics_host"})
# Sent in a header, where only visible ASCII arrives unchanged; and SMTP's login is ASCII.
IN_A_HEADER = frozenset({"token", "api_key", "headers"})
ASCII = frozenset({("smtp", "user"), ("smtp", "password")})

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_VISIBLE_ASCII = re.compile(r"[^\x21-\x7e]")
_NOT_ASCII = re.compile(r"[^\x20-\x7e]")
# What stands before an @: a host with a port or without one, and its path. The rest would be taken for the host.
_LOOKS_LIKE_NO_LOGIN = re.compile(r"[^:]*[/?#]|[^:]*:\d+[/?#]")


def variable(location: Location) -> str:
    """The environment variable of a setting."""
    return "NIGHTDESK_" + "__".join(part.upper() for part in location)


def problems_with_texts(settings: BaseModel) -> list[str]:
    """What is wrong with secrets and addresses, and what to do, each with its variable."""
    found = ((location, _problem(location, value)) for location, value in _texts((), settings))
    return [f"{variable(location)} {problem}" for location, problem in found if problem]


def _texts(location: Location, value: Any) -> Iterator[tuple[Location, str | SecretStr]]:
    if isinstance(value, str | SecretStr):
        yield location, value
    elif isinstance(value, BaseModel):
        for name, part in value:
            yield from _texts((*location, name), part)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts((*location, str(name)), part)


def _problem(location: Location, value: str | SecretStr) -> str:
    name = location[-1]
    if isinstance(value, SecretStr):
        return _problem_with_secret(location, value.get_secret_value())
    if location in ASCII:
        return "has a character that SMTP cannot send: only ASCII is possible" if _NOT_ASCII.search(value) else ""
    if name in ADDRESSES:
        return _problem_with_address(location, value)
    if name in HOSTS and "@" in value:
        return "has a login in it: write host:port alone, and the login by its own settings"
    if "://" in value and (without_login(value) != value or "?" in value or "#" in value):
        return "has more than a host and a path: it is printed, so give the login by its own settings"
    return ""


def _problem_with_secret(location: Location, secret: str) -> str:
    if not _is_unicode(secret):
        return "is no text in UTF-8: write it again"
    if _CONTROL.search(secret):
        return "has a line break or another control character: write it without (a file often ends with a line break)"
    if secret != secret.strip():
        return "begins or ends with a space: write it without"
    if location in ASCII and _NOT_ASCII.search(secret):
        return "has a character that SMTP cannot send: choose a password of ASCII characters"
    if (location[-1] in IN_A_HEADER or location[-2:-1] == ("headers",)) and _NOT_ASCII.search(secret):
        return "has a character that no header can have: only ASCII is possible, so look whether it was copied whole"
    if location[-1] == "url":
        return _problem_with_secret_address(secret)
    return ""


def _problem_with_secret_address(url: str) -> str:
    """An address whose path, or query, is the secret."""
    if _NOT_VISIBLE_ASCII.search(url) or "#" in url:
        return "has a character that no address can have: percent-encode it (# is %23, a space %20)"
    return ""


def _problem_with_address(location: Location, address: str) -> str:
    if not address:
        return ""
    login = "user:password@" if location in LOGIN_IN_URL else ""
    try:
        server = server_of(address)
    except ValueError:
        return f"is no url: write it as http://{login}host:port/path"
    if server.query or server.fragment or _LOOKS_LIKE_NO_LOGIN.match(login_and_rest(address)[1]):
        return f"has more than a path, and it is printed: write http://{login}host:port/path, and / ? # as %2F %3F %23"
    if without_login(address) != address and location not in LOGIN_IN_URL:
        return "has a login in it: give the key or the token by its own setting"
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
