"""Keeps, in memory and for some minutes, the logins that have begun at the identity provider and are not finished."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nightdesk.operations.identity_provider import Login

COOKIE = "nightdesk_login"
ENDS_AFTER = timedelta(minutes=10)
AT_MOST = 10_000


@dataclass(slots=True)
class Logins:
    """The logins by their `state`, the oldest first. Each can be taken once."""

    _begun: OrderedDict[str, tuple[Login, str, datetime]] = field(default_factory=OrderedDict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, login: Login, path: str, now: datetime) -> None:
        """Remember it, and the path that the person wanted."""
        with self._changing:
            self._begun[login.state] = login, path, now
            while len(self._begun) > AT_MOST:
                self._begun.popitem(last=False)

    def take(self, state: str, now: datetime) -> tuple[Login, str] | None:
        """The login with this state, if it began a short time ago."""
        with self._changing:
            login, path, begun_at = self._begun.pop(state, (None, "", now))
        return None if login is None or now - begun_at > ENDS_AFTER else (login, path)
