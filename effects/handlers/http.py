"""Steps that call another system over HTTP.

There is one `HttpStepHandler` for each http handler of a charter. All of a process share one client, which is opened
inside the event loop and closed at the end.
"""

from collections.abc import Mapping
from dataclasses import replace

import aiohttp
import orjson
from aiohttp.hdrs import AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE

from nightdesk.effects.bodies import CHUNK_BYTES, Body, BodyUnreadable, read_body
from nightdesk.effects.handlers import answers
from nightdesk.effects.handlers.answers import Meaning
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import AddressRefused, Connection, base_url
from nightdesk.effects.handlers.protocol import StepCall
from nightdesk.effects.handlers.request import Request, RequestRefused, RequestTemplate
from nightdesk.effects.retry_after import retry_after_seconds
from nightdesk.effects.secrets import explained, redact
from nightdesk.processors.charter.handlers import HttpHandler
from nightdesk.processors.playbook import StepResult


class HttpStepHandler:
    """One http handler of a charter. `repeatable` if the charter sets `key` or `natural`, or `read_only`."""

    def __init__(self, handler: HttpHandler, connection: Connection, client: HttpClient) -> None:
        """Raises `ConnectionInvalid` or `RequestRefused` if no call could ever be made."""
        self._shape = RequestTemplate(handler, base_url(connection))
        self._handler = handler
        # Half of it for connecting, to tell an unreachable host from a late response.
        self._timeout = aiohttp.ClientTimeout(total=handler.timeout, connect=handler.timeout / 2)
        self._token = connection.token
        self._headers: dict[str, str] = {AUTHORIZATION: f"Bearer {self._token}"} if self._token else {}
        self.repeatable = handler.repeatable
        self._session = client.reusing if self.repeatable else client.fresh

    async def run(self, call: StepCall) -> StepResult:
        """Make the call and return its result. Never raises, except when it is cancelled."""
        try:
            request = self._shape.fill(call.request)
        except RequestRefused as error:
            return StepResult("failed", error=str(error))
        try:
            return await self._send(request, call)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefused):
                return StepResult("failed", error=self._explain(error.os_error))
            return StepResult("failed", error=self._explain(error.os_error), retryable=True, answered=False)
        except aiohttp.ConnectionTimeoutError as error:
            return StepResult("failed", error=f"no connection in time: {error}", retryable=True, answered=False)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # From here on the request may have arrived.
            detail = f"no answer: {self._explain(error)}"
            return answers.result(Meaning.MAYBE, detail, repeatable=self.repeatable, answered=False)

    def preview(self, call: StepCall) -> StepResult:
        """The request without its headers, and with the connection's name instead of the host."""
        try:
            request = self._shape.fill(call.request)
        except RequestRefused as error:
            return StepResult("failed", error=str(error))
        shown = {
            "connection": self._handler.connection,
            "method": request.method,
            "path": request.url.raw_path_qs,
            "body": None if request.body is None else orjson.Fragment(request.body),
        }
        return StepResult("done", orjson.dumps(shown).decode())

    async def _send(self, request: Request, call: StepCall) -> StepResult:
        async with self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers=self._call_headers(call, request.body),
            allow_redirects=False,
            timeout=self._timeout,
        ) as response:
            body, cut = await _read(response)
        return self._judge(response.status, redact(self._token, body), cut, response.headers)

    def _judge(self, status: int, body: bytes, cut: bool, headers: Mapping[str, str]) -> StepResult:
        found = answers.meaning(status, self._handler)
        if found is Meaning.DONE:
            return StepResult("done", answers.json_text(body, cut), answered=True)
        detail, answered = answers.error_text(status, body), answers.works(status)
        result = answers.result(found, detail, repeatable=self.repeatable, answered=answered)
        return replace(result, retry_after_seconds=retry_after_seconds(headers.get("Retry-After")))

    def _explain(self, error: BaseException) -> str:
        return explained(error, self._token)[: answers.MAX_ERROR_CHARACTERS]

    def _call_headers(self, call: StepCall, body: bytes | None) -> dict[str, str]:
        headers = {**self._headers, "Idempotency-Key": call.step_id}
        if body is not None:
            headers[CONTENT_TYPE] = "application/json"
        if call.traceparent is not None:
            headers["traceparent"] = call.traceparent
        return headers


async def _read(response: aiohttp.ClientResponse) -> Body:
    """The body, up to the size of a result. A body that cannot be unpacked does not change the
    meaning of the status.
    """
    chunks, encoding = response.content.iter_chunked(CHUNK_BYTES), response.headers.get(CONTENT_ENCODING)
    try:
        body = await read_body(chunks, encoding, answers.MAX_RESULT_BYTES)
    except BodyUnreadable as error:
        body = Body(str(error).encode(), is_cut=True)
    if body.is_cut:
        response.close()
    return body
