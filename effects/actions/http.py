"""Steps that call an outside system over HTTP.

`registry.py` builds an `HttpAction` for each http handler of a charter; all of a process share one `HttpClient`, which
the bootstrap opens inside the event loop and closes at the end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import aiohttp
from aiohttp.hdrs import AUTHORIZATION, CONTENT_TYPE, METH_GET

from effects.actions import answers
from effects.actions.answers import Meaning
from effects.actions.outbound import AddressRefused, Connection, GuardedResolver, base_url
from effects.actions.protocol import Call, Result
from effects.actions.request import Request, RequestRefused, Shape
from effects.secrets import without
from processors.charter.playbooks import HttpHandler

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
        # aiohttp sends a PUT or DELETE again by itself when its connection is cut; it has no public switch for that.
        self.fresh._retry_connection = False
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
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        # An answer that is sent plain cannot swell while it is read.
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "nightdesk"},
    )


class HttpAction:
    """One http handler of a charter. `repeatable` where the charter says `key` or `natural`, or that it only reads."""

    def __init__(self, handler: HttpHandler, connection: Connection, client: HttpClient) -> None:
        """Raises `ConnectionInvalid` or `RequestRefused` where no call could ever be made."""
        self._shape = Shape(handler, base_url(connection))
        self._takes_keys = handler.idempotent == "key"
        # Half of it for the connection, so that a host that is away is told from an answer that is late.
        self._timeout = aiohttp.ClientTimeout(total=handler.timeout, connect=handler.timeout / 2)
        self._token = connection.token
        self._headers: dict[str, str] = {AUTHORIZATION: f"Bearer {self._token}"} if self._token else {}
        self.repeatable = handler.idempotent != "none" or handler.read_only or handler.method == METH_GET
        self._session = client.reusing if self.repeatable else client.fresh

    async def run(self, call: Call) -> Result:
        """Make the call and say what came of it. Never raises, except when it is cancelled."""
        try:
            request = self._shape.fill(call.request)
        except RequestRefused as error:
            return Result("failed", error=str(error))
        try:
            return await self._send(request, call)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefused):
                return Result("failed", error=_explain(error.os_error))
            return Result("failed", error=_explain(error.os_error), retryable=True, answered=False)
        except aiohttp.ConnectionTimeoutError as error:
            return Result("failed", error=f"no connection in time: {error}", retryable=True, answered=False)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # From here on the request may have arrived.
            detail = f"no answer: {_explain(error)}"
            return answers.result(Meaning.MAYBE, detail, repeatable=self.repeatable, answered=False)

    async def _send(self, request: Request, call: Call) -> Result:
        async with self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers=self._call_headers(call, request.body),
            allow_redirects=False,
            timeout=self._timeout,
        ) as response:
            body, cut = await _read(response)
        body = without(self._token, body)
        return self._judge(response.status, body, cut, response.headers)

    def _judge(self, status: int, body: bytes, cut: bool, headers: Mapping[str, str]) -> Result:
        found = answers.meaning(status, takes_keys=self._takes_keys)
        if found is Meaning.DONE:
            return Result("done", answers.json_text(body, cut), answered=True)
        detail, answered = answers.error_text(status, body), answers.works(status)
        result = answers.result(found, detail, repeatable=self.repeatable, answered=answered)
        return replace(result, retry_after_seconds=answers.retry_after_seconds(headers.get("Retry-After")))

    def _call_headers(self, call: Call, body: bytes | None) -> dict[str, str]:
        headers = {**self._headers, "Idempotency-Key": call.idempotency_key}
        if body is not None:
            headers[CONTENT_TYPE] = "application/json"
        if call.traceparent is not None:
            headers["traceparent"] = call.traceparent
        return headers


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """The body up to what a result may hold, and whether there was more."""
    if response.content_length is not None and response.content_length <= answers.MAX_RESULT_BYTES:
        return await response.read(), False
    body = b""
    while len(body) <= answers.MAX_RESULT_BYTES:
        chunk = await response.content.read(answers.MAX_RESULT_BYTES)
        if not chunk:
            return body, False
        body += chunk
    response.close()
    return body[: answers.MAX_RESULT_BYTES], True


def _explain(error: BaseException) -> str:
    return str(error) or type(error).__name__
