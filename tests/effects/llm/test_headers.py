"""Whatever bytes are in the head of a response, its answer is read, can be recorded, and changes no later question."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from nightdesk.effects.llm.protocol import Kind, ModelError
from nightdesk.processors.model import ModelReply, ModelRequest
from tests.effects.llm.test_contract import Build, build

__all__ = ["build"]

ANSWERS = {
    "anthropic": {
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "openai-compatible": {
        "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    },
}
HEADERS = {
    "an id that is no text": b"request-id: \xff\xfe\r\nx-request-id: \xff\xfe\r\n",
    "an id in another script": "request-id: ü\r\nx-request-id: ü\r\n".encode(),
    "another header that is no text": b"server: \xff\r\n",
    "a cookie that is no text": b"set-cookie: a=\xff\r\n",
    "a cookie of another script": "set-cookie: ü=ü\r\n".encode(),
    "a cookie like any other": b"set-cookie: a=b; Path=/\r\n",
    "many cookies": b"".join(b"set-cookie: c%d=%s; Path=/\r\n" % (number, b"x" * 4000) for number in range(60)),
}


class RawServer:
    """Answers every request with the same bytes; `heads` are those of the requests."""

    def __init__(self) -> None:
        self.response = b""
        self.heads: list[bytes] = []
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["RawServer"]:
        # By a name and not by an address, because cookies belong to names.
        listener = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://localhost:{listener.sockets[0].getsockname()[1]}"
        async with listener:
            yield self

    def answers(self, content: bytes, headers: bytes = b"", status: bytes = b"200 OK") -> None:
        length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(content)
        self.response = b"HTTP/1.1 " + status + b"\r\n" + headers + length + content

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.lower())
        sizes = [int(line.split(b":")[1]) for line in self.heads[-1].split(b"\r\n") if b"content-length:" in line]
        await reader.readexactly(sum(sizes))
        writer.write(self.response)
        await writer.drain()
        writer.close()


async def asked_twice(build: Build, request: ModelRequest, headers: bytes) -> tuple[list[ModelReply], list[bytes]]:
    async with RawServer().listening() as server:
        provider = build(server.url)
        try:
            server.answers(orjson.dumps(ANSWERS[provider.name]), headers)
            replies = [await provider.ask(request.for_provider(provider.name)) for _ in range(2)]
        finally:
            await provider.aclose()
        return replies, server.heads


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_a_header_of_any_bytes_costs_no_answer_and_is_sent_back_in_none(
    build: Build, request_: ModelRequest, headers: bytes
) -> None:
    replies, heads = await asked_twice(build, request_, headers)
    assert [reply.text for reply in replies] == ["hello", "hello"]
    assert all(ModelReply.model_validate_json(reply.model_dump_json()) == reply for reply in replies)
    assert not any(b"cookie" in head for head in heads)


@pytest.mark.parametrize("status", [b"500 \xff\xfe", b"503 \xed\xa0\x80"])
async def test_a_reason_of_any_bytes_is_a_failure_that_can_be_recorded(
    build: Build, request_: ModelRequest, status: bytes
) -> None:
    async with RawServer().listening() as server:
        provider = build(server.url)
        server.answers(b"{}", status=status)
        with pytest.raises(ModelError) as caught:
            await provider.ask(request_.for_provider(provider.name))
        await provider.aclose()
    assert caught.value.kind in (Kind.SERVER_ERROR, Kind.CONNECTION_LOST)
    assert caught.value.message.encode()


async def test_what_is_no_json_is_said_in_one_clause(build: Build, request_: ModelRequest) -> None:
    async with RawServer().listening() as server:
        provider = build(server.url)
        server.answers(b"data: {}\n\n")
        with pytest.raises(ModelError, match=r"the answer is not a [a-z ]+: Invalid JSON"):
            await provider.ask(request_.for_provider(provider.name))
        await provider.aclose()
