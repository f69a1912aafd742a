"""Asks Claude through the official SDK.

It runs on the SDK's aiohttp transport: with a thousand concurrent calls the default one took six times the processor
time, and timed out while connecting. Automatic features of the SDK are off: retries (the decide stage decides what
follows a failure), spans, redirects. We read the raw response, because the SDK builds its objects from any JSON without
validation.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Annotated, Any

import aiohttp
import anthropic
import httpx2
import orjson
from anthropic.types import OutputConfigParam, TextBlockParam
from pydantic import BaseModel, FailFast, Field, SecretStr

from nightdesk.effects.bodies import BodyTooLarge, BodyUnreadable, read_answer
from nightdesk.effects.llm.call import BODY_BYTES_AT_MOST, ProviderCall, Tokens
from nightdesk.effects.llm.failures import kind_of_connection, kind_of_status, retry_after_seconds
from nightdesk.effects.llm.protocol import Kind, ModelError
from nightdesk.effects.secrets import explained
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUsage

CONNECT_TIMEOUT_SECONDS = 5.0
BLOCKS_AT_MOST = 1_000
# These headers describe the encoding of the body, which is already decoded.
TELLING = (aiohttp.ClientError, TimeoutError, BodyTooLarge, BodyUnreadable)
OF_THE_WIRE = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
STOPPED_SHORT = {
    "max_tokens": Kind.TRUNCATED,
    "pause_turn": Kind.TRUNCATED,
    "refusal": Kind.REFUSED,
    "model_context_window_exceeded": Kind.CONTEXT_EXCEEDED,
}


class _Block(BaseModel):
    type: str
    text: str = ""


class _Usage(BaseModel):
    input_tokens: Tokens
    output_tokens: Tokens
    cache_read_input_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None


class _StopDetails(BaseModel):
    explanation: str | None = None


class _Message(BaseModel):
    """The fields of a `message` that we read; the others are ignored."""

    content: Annotated[list[_Block], FailFast(), Field(max_length=BLOCKS_AT_MOST)]
    stop_reason: str
    stop_details: _StopDetails | None = None
    usage: _Usage


class _Client(anthropic.DefaultAioHttpClient):
    """Reads every response completely and within its bound, before the SDK sees it.

    No cookie of a response is kept: one that cannot be sent, or too many of them, would fail every later question.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())), **options)
        transports: list[Any] = [self._transport, *self._mounts.values()]
        for transport in filter(None, transports):  # a host that needs no proxy has None
            transport.get_client = partial(_without_cookies, transport.get_client)

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        response = await super().send(request, stream=True, **options)
        try:
            encoding = response.headers.get("content-encoding")
            body = await read_answer(response.aiter_raw(), encoding, response.status_code, BODY_BYTES_AT_MOST)
        finally:
            await response.aclose()
        # As bytes: a header is seldom needed, and its text may be in any encoding or in none.
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in OF_THE_WIRE]
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)


def _without_cookies(new_session: Callable[[], aiohttp.ClientSession]) -> aiohttp.ClientSession:
    """The same session without a cookie jar. The SDK offers no option for it."""
    session = new_session()
    connector = session.connector
    session.detach()
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class AnthropicProvider:
    """With `api_key` None the SDK finds credentials itself (environment, workload identity, profile).

    It opens `calls_at_once` connections; further calls wait for one.
    """

    name = "anthropic"

    def __init__(
        self,
        api_key: SecretStr | None = None,
        base_url: str | None = None,
        calls_at_once: int = 1_000,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._api_key = api_key
        limits = httpx2.Limits(max_connections=calls_at_once, max_keepalive_connections=calls_at_once)
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key.get_secret_value() if api_key else None,
            base_url=base_url,
            max_retries=0,
            open_telemetry=False,
            http_client=_Client(limits=limits, follow_redirects=False, headers={"accept-encoding": "identity"}),
        )

    async def ask(self, request: ModelRequest) -> ModelReply:
        """Raises `ModelError`."""
        call = ProviderCall(self.name, request, self._now(), self._api_key)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                response = await self._post(request)
        except TimeoutError:
            raise call.failed(Kind.TIMEOUT, f"no answer within {request.timeout_seconds} s") from None
        except anthropic.APIStatusError as error:
            raise _status_error(call, error) from error
        except anthropic.APIConnectionError as error:
            raise _connection_error(call, error) from error
        except anthropic.AnthropicError as error:
            raise call.failed(Kind.AUTHENTICATION, f"the credentials could not be used: {error}") from error
        return _read(call, response)

    async def aclose(self) -> None:
        await self._client.close()

    async def _post(self, request: ModelRequest) -> httpx2.Response:
        system: TextBlockParam = {"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}
        try:
            raw = await self._client.messages.with_raw_response.create(
                model=request.model,
                max_tokens=request.max_output_tokens,
                system=[system],
                messages=[{"role": "user", "content": request.prompt}],
                output_config=_output_config(request),
                timeout=httpx2.Timeout(request.timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS),
            )
        except TypeError as error:  # what the SDK raises if it finds no credentials
            if "authentication" not in str(error):
                raise
            raise anthropic.CredentialsError(str(error)) from error
        return raw.http_response


def _output_config(request: ModelRequest) -> OutputConfigParam:
    schema = _accepted_schema(orjson.dumps(request.answer_schema))
    config: OutputConfigParam = {"format": {"type": "json_schema", "schema": schema}}
    if request.effort is not None:
        config["effort"] = request.effort
    return config


@lru_cache(maxsize=256)
def _accepted_schema(schema: bytes) -> dict[str, Any]:
    """The schema in the form that the API accepts: bounds move to the descriptions. A charter
    version has one schema.
    """
    return anthropic.transform_schema(orjson.loads(schema))


def _read(call: ProviderCall, response: httpx2.Response) -> ModelReply:
    message = call.read(_Message, response.content, "message")
    usage = ModelUsage(
        input_tokens=message.usage.input_tokens,
        output_tokens=message.usage.output_tokens,
        cache_read_tokens=message.usage.cache_read_input_tokens or 0,
        cache_write_tokens=message.usage.cache_creation_input_tokens or 0,
    )
    if kind := STOPPED_SHORT.get(message.stop_reason):
        detail = (message.stop_details and message.stop_details.explanation) or f"stop_reason {message.stop_reason}"
        raise call.failed(kind, detail, usage)
    text = "".join(block.text for block in message.content if block.type == "text")
    return call.answered(text, message.stop_reason, usage, response.headers.get("request-id"))


def _status_error(call: ProviderCall, error: anthropic.APIStatusError) -> ModelError:
    kind = kind_of_status(error.status_code, error.message)
    return call.failed(kind, error.message, retry_after_seconds=retry_after_seconds(error.response.headers))


def _connection_error(call: ProviderCall, error: anthropic.APIConnectionError) -> ModelError:
    # The transport reports a connection that was lost after sending as a failure to connect. Only aiohttp's own error
    # says whether the call may have been charged.
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, TELLING):
        cause = cause.__cause__
    return call.failed(kind_of_connection(cause), f"{type(cause).__name__}: {explained(cause)}")
