"""Refuses requests that a web page makes a browser send, for every HTTP listener of the local stack.

A page of any site may post to loopback (its request then names the page in `Origin`). A page whose name resolves to
127.0.0.1 may read the responses too (its request then has that name in `Host`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

OUR_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def loopback_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 to a request for another host name or from a web page."""
    if not is_ours(request.headers.get("Host", "")):
        return _refused("the Host header must be 127.0.0.1 or localhost")
    if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") != "none":
        return _refused("requests from web pages are refused")
    return await handler(request)


def is_ours(host: str) -> bool:
    """Whether a `Host` header names this machine's loopback."""
    try:
        return urlsplit(f"//{host}").hostname in OUR_NAMES
    except ValueError:
        return False


def _refused(reason: str) -> web.Response:
    return web.Response(status=HTTPStatus.FORBIDDEN, text=f"{reason}\n")
