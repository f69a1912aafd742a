"""Keeps who is logged in. Sessions are in memory only, so a restart of the console ends all of them."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from nightdesk.console.visitors import Visitor

COOKIE = "nightdesk_session"
ENDS_AFTER_IDLE = timedelta(hours=12)
ENDS_AFTER = timedelta(hours=24)
AT_MOST = 10_000
ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """One browser of one person. A change needs `csrf`, which only our own pages know."""

    visitor: Visitor
    csrf: str
    seen_at: datetime
    begun_at: datetime


@dataclass(slots=True)
class Sessions:
    """The open sessions, the one that was seen longest ago first."""

    _open: dict[str, Session] = field(default_factory=dict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, visitor: Visitor, now: datetime) -> str:
        """Open a session; returns its id, which the browser keeps."""
        id_ = secrets.token_urlsafe(ID_BYTES)
        with self._changing:
            self._open[id_] = Session(visitor, secrets.token_urlsafe(ID_BYTES), now, now)
            while len(self._open) > AT_MOST:
                del self._open[next(iter(self._open))]
        return id_

    def find(self, id_: str, now: datetime) -> Session | None:
        """The session with this id, if it is open. Its idle time begins again at `now`."""
        with self._changing:
            session = self._open.pop(id_, None)
            if session is None or now - session.seen_at > ENDS_AFTER_IDLE or now - session.begun_at > ENDS_AFTER:
                return None
            self._open[id_] = replace(session, seen_at=now)
            return session

    def end(self, id_: str) -> None:
        """Log out."""
        with self._changing:
            self._open.pop(id_, None)
