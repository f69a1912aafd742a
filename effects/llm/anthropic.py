"""Asks Claude by the official SDK. Built by `nightdesk/bootstrap.py`, asked by `chain.py`.

It runs on its aiohttp transport: with a thousand calls at once the default one took six times the processor time, and
timed out connecting. What the SDK does by itself is off: retries (the chain has none either; the decide stage
decides), spans, redirects. The answer is read from the raw response, because the SDK builds its objects from any JSON
without looking.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import aiohttp
import anthropic
import httpx2
import orjson
from anthropic.types import OutputConfigParam, TextBlockParam
from pydantic import BaseModel, SecretStr, ValidationError

from effects.llm.call import Call
from effects.llm.failures import kind_of_connection, kind_of_status, retry_after_seconds
from effects.llm.protocol import Kind, ModelError
from processors.model import ModelReply, ModelRequest, ModelUsage

CONNECT_TIMEOUT_SECONDS = 5.0
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
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _StopDetails(BaseModel):
    explanation: str | None = None


class _Message(BaseModel):
    """What we read of a `message`; the rest is let through."""

    content: list[_Block]
    stop_reason: str
    stop_details: _StopDetails | None = None
    usage: _Usage


class AnthropicProvider:
    """`api_key` None leaves it to the SDK to find credentials (environment, workload identity, profile).

    `calls_at_once` connections are kept; more calls than that wait for one.
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
            http_client=anthropic.DefaultAioHttpClient(limits=limits, follow_redirects=False),
        )

    async def ask(self, request: ModelRequest) -> ModelReply:
        """Raises `ModelError`."""
        call = Call(self.name, request, self._now(), self._api_key)
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
        except TypeError as error:  # what the SDK raises when it has found no credentials
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
    """The schema as the API takes it: bounds move into the descriptions. A charter version has one."""
    return anthropic.transform_schema(orjson.loads(schema))


def _read(call: Call, response: httpx2.Response) -> ModelReply:
    try:
        message = _Message.model_validate_json(response.content)
    except ValidationError as error:
        raise call.failed(Kind.MALFORMED_HTTP, f"the answer is not a message: {error}") from error
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


def _status_error(call: Call, error: anthropic.APIStatusError) -> ModelError:
    kind = kind_of_status(error.status_code, error.message)
    return call.failed(kind, error.message, retry_after_seconds=retry_after_seconds(error.response.headers))


def _connection_error(call: Call, error: anthropic.APIConnectionError) -> ModelError:
    # The transport calls a connection that was lost after sending a failure to connect. Only what aiohttp told it says
    # whether the call may have been paid.
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, aiohttp.ClientError | TimeoutError):
        cause = cause.__cause__
    return call.failed(kind_of_connection(cause), f"{type(cause).__name__}: {cause}")
