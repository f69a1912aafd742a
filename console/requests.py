"""The checks that every request passes before a page sees it, and the headers of every answer.

A web page elsewhere could send requests here with the person's cookie, or point a name of its own to this address. Both
are refused before anything is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS = frozenset({"GET", "HEAD"})
SAME_SITE = frozenset({"same-origin", "none"})
# Scripts and styles come from files of ours, and nothing comes from another host.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    # The link by which a person logs in has a token. `no-referrer` would not do, because with it a browser sends
    # `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
STATIC = "/static/"
FILES_ARE_KEPT = "public, max-age=3600"
PAGES_ARE_NOT_KEPT = "no-store"


def refusal(method: str, headers: Mapping[str, str], hosts: frozenset[str]) -> tuple[HTTPStatus, str] | None:
    """Why the request is refused; None if it is not."""
    if headers.get("host", "") not in hosts:
        return (
            HTTPStatus.MISDIRECTED_REQUEST,
            "the console is not known under this host name: set NIGHTDESK_CONSOLE__URL",
        )
    if method in SAFE_METHODS:
        return None
    origin = headers.get("origin")
    of_another_host = origin is not None and origin.partition("://")[2] not in hosts
    if of_another_host or headers.get("sec-fetch-site", "none") not in SAME_SITE:
        return HTTPStatus.FORBIDDEN, "the request comes from a page of another host"
    return None


@dataclass(frozen=True, slots=True)
class RequestChecks:
    """ASGI middleware around the whole application."""

    app: ASGIApp
    hosts: frozenset[str]
    is_encrypted: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(MutableHeaders(scope=message), scope["path"])
            await send(message)

        refused = refusal(scope["method"], Headers(scope=scope), self.hosts)
        if refused is None:
            await self.app(scope, receive, send_with_headers)
        else:
            status, why = refused
            await PlainTextResponse(f"refused: {why}\n", status)(scope, receive, send_with_headers)

    def _add_headers(self, headers: MutableHeaders, path: str) -> None:
        headers.update(HEADERS)
        headers.setdefault("Cache-Control", FILES_ARE_KEPT if path.startswith(STATIC) else PAGES_ARE_NOT_KEPT)
        if self.is_encrypted:
            headers["Strict-Transport-Security"] = "max-age=31536000"
