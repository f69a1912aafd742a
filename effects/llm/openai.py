"""Asks any server with OpenAI's `/chat/completions` API: OpenAI itself, vLLM, Ollama, a gateway.

It uses aiohttp directly, because a thousand calls run at once and each should cost little of our own time.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

import aiohttp
import orjson
from pydantic import BaseModel, FailFast, Field, SecretStr

from nightdesk.effects.bodies import CHUNK_BYTES, BodyTooLarge, BodyUnreadable, read_answer
from nightdesk.effects.llm.call import BODY_BYTES_AT_MOST, ProviderCall, Tokens
from nightdesk.effects.llm.failures import kind_of_connection, kind_of_status, retry_after_seconds
from nightdesk.effects.llm.protocol import Kind, ModelError
from nightdesk.effects.secrets import explained
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUsage
from nightdesk.processors.prices import input_tokens_at_most

CONNECT_TIMEOUT_SECONDS = 5.0
CHOICES_AT_MOST = 1_000
STOPPED_SHORT = {"length": Kind.TRUNCATED, "content_filter": Kind.REFUSED}


class Endpoint(NamedTuple):
    """The address, and the parameters that this server accepts. OpenAI's reasoning models accept no temperature and use
    the longer name.

    `base_url` ends before `/chat/completions`, such as `https://llm.example.com/v1`.
    """

    base_url: str
    api_key: SecretStr | None = None
    temperature: float | None = 0.0
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str


class _PromptDetails(BaseModel):
    cached_tokens: Tokens | None = None


class _Usage(BaseModel):
    prompt_tokens: Tokens
    completion_tokens: Tokens
    prompt_tokens_details: _PromptDetails | None = None


class _Completion(BaseModel):
    """The fields of a `chat.completion` that we read; the others are ignored."""

    id: str | None = None
    choices: Annotated[list[_Choice], FailFast(), Field(max_length=CHOICES_AT_MOST)]
    usage: _Usage | None = None


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class OpenAIProvider:
    """It opens `calls_at_once` connections; further calls wait for one."""

    name = "openai-compatible"

    def __init__(
        self,
        endpoint: Endpoint,
        calls_at_once: int = 1_000,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._endpoint = endpoint
        self._url = endpoint.base_url.rstrip("/") + "/chat/completions"
        self._calls_at_once = calls_at_once
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, request: ModelRequest) -> ModelReply:
        """Raises `ModelError`."""
        call = ProviderCall(self.name, request, self._now(), self._endpoint.api_key)
        try:
            answer = await self._post(request)
        except (aiohttp.ClientError, OSError, BodyTooLarge, BodyUnreadable) as error:
            raise call.failed(kind_of_connection(error), f"{type(error).__name__}: {explained(error)}") from error
        if answer.status != 200:
            raise _status_error(call, answer)
        return _read(call, answer)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, request: ModelRequest) -> _Answer:
        timeout = aiohttp.ClientTimeout(total=request.timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        body = orjson.dumps(_body(self._endpoint, request))
        session = self._opened()
        async with session.post(self._url, data=body, timeout=timeout, allow_redirects=False) as response:
            chunks, encoding = response.content.iter_chunked(CHUNK_BYTES), response.headers.get("content-encoding")
            body = await read_answer(chunks, encoding, response.status, BODY_BYTES_AT_MOST)
            return _Answer(response.status, response.headers, body)

    def _opened(self) -> aiohttp.ClientSession:
        # Created at the first question, because a session belongs to the running loop, and there is none yet in
        # `__init__`.
        if self._session is None:
            headers = {"content-type": "application/json", "accept-encoding": "identity"}
            if self._endpoint.api_key:
                headers["authorization"] = f"Bearer {self._endpoint.api_key.get_secret_value()}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._calls_at_once),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers=headers,
            )
        return self._session


def _body(endpoint: Endpoint, request: ModelRequest) -> dict[str, Any]:
    schema = request.answer_schema
    answer_format = {"name": "decision", "schema": schema, "strict": _may_be_strict(schema)}
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [
            {"role": "system", "content": request.system},
            {"role": "user", "content": request.prompt},
        ],
        "response_format": {"type": "json_schema", "json_schema": answer_format},
        endpoint.max_tokens_field: request.max_output_tokens,
    }
    if endpoint.temperature is not None:
        body["temperature"] = endpoint.temperature
    if request.effort is not None:
        body["reasoning_effort"] = request.effort
    return body


def _may_be_strict(schema: Any) -> bool:
    """Whether the schema may be sent as strict. OpenAI answers 400 if an object in it is open or has an optional
    property.
    """
    if isinstance(schema, list):
        return all(_may_be_strict(each) for each in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("properties", ())) != set(schema.get("required", ())):
            return False
    return all(_may_be_strict(each) for each in schema.values())


def _read(call: ProviderCall, answer: _Answer) -> ModelReply:
    completion = call.read(_Completion, answer.body, "chat completion")
    if not completion.choices:
        raise call.failed(Kind.MALFORMED_HTTP, "the answer has no choice in it")
    choice, usage = completion.choices[0], _usage(call.request, completion.usage)
    if choice.message.refusal:
        raise call.failed(Kind.REFUSED, choice.message.refusal, usage)
    if kind := STOPPED_SHORT.get(choice.finish_reason):
        raise call.failed(kind, f"finish_reason {choice.finish_reason}", usage)
    request_id = answer.headers.get("x-request-id", completion.id)
    return call.answered(choice.message.content or "", choice.finish_reason, usage, request_id)


def _usage(request: ModelRequest, usage: _Usage | None) -> ModelUsage:
    if usage is None:  # some self-hosted servers report no token counts: charge the worst price
        return ModelUsage(input_tokens=input_tokens_at_most(request), output_tokens=request.max_output_tokens)
    details = usage.prompt_tokens_details
    cached = min((details and details.cached_tokens) or 0, usage.prompt_tokens)
    return ModelUsage(
        input_tokens=usage.prompt_tokens - cached,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=cached,
    )


def _status_error(call: ProviderCall, answer: _Answer) -> ModelError:
    text = answer.body.decode(errors="replace")
    kind = kind_of_status(answer.status, text)
    return call.failed(kind, f"HTTP {answer.status}: {text}", retry_after_seconds=retry_after_seconds(answer.headers))
