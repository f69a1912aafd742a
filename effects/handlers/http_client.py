"""The sockets of a process's http handlers: opened inside the event loop, shared by all of them, closed at the end."""

from collections.abc import Iterable

import aiohttp

from nightdesk.effects.handlers.outbound import Connection, GuardedResolver

CONNECTIONS_AT_MOST = 1000
RESOLVED_FOR_SECONDS = 60


class HttpClient:
    """The sockets of a process's http handlers. Build it inside the event loop."""

    def __init__(self, connections: Iterable[Connection]) -> None:
        resolver = GuardedResolver(connections)
        self.reusing = _session(resolver, reuse=True)
        # A kept connection may be closed by the other side just as we send, and then nobody knows whether the request
        # arrived. A call that cannot be repeated gets a connection of its own.
        self.fresh = _session(resolver, reuse=False)
        self._resolver = resolver

    async def aclose(self) -> None:
        await self.reusing.close()
        await self.fresh.close()
        await self._resolver.close()


def _session(resolver: GuardedResolver, *, reuse: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS_AT_MOST,
        resolver=resolver,
        ttl_dns_cache=RESOLVED_FOR_SECONDS,
        force_close=not reuse,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        # We request plain bodies; `read_body` unpacks a compressed one nevertheless, within its bound.
        auto_decompress=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "nightdesk"},
    )
    # aiohttp sends a GET, PUT or DELETE again by itself when its connection is cut, and reports only the second
    # response: a 404 or a refused connection then hides that the first request may have been executed. We decide on
    # each call, with its own lease, orders and grant. aiohttp has no public switch for that.
    session._retry_connection = False
    return session
