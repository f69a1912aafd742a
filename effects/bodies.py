"""Reads response bodies up to a bound. All our clients use it.

We request plain bodies (`Accept-Encoding: identity`). A body that is compressed nevertheless is unpacked piece by
piece, and the bound applies to the output: 58 kB of gzip can contain 60 MB. Each client's total timeout bounds the
time. A body that ends before its encoding does counts as cut, even if the transport reported a complete response.
"""

import zlib
from collections.abc import AsyncIterable
from typing import NamedTuple, Protocol

CHUNK_BYTES = 16_384
ERROR_BYTES_AT_MOST = 64_000
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class BodyTooLarge(Exception):
    """The body has more bytes than its reader accepts."""


class BodyUnreadable(Exception):
    """The body is compressed in a way that was not requested and that we cannot unpack."""


class Body(NamedTuple):
    """`is_cut`: the body had more bytes than were read, or ended before its encoding did."""

    content: bytes
    is_cut: bool


async def read_body(chunks: AsyncIterable[bytes], encoding: str | None, at_most: int) -> Body:
    """The first `at_most` bytes of the unpacked `chunks`. `encoding` is the Content-Encoding.

    Raises `BodyUnreadable`, and whatever reading a chunk raises. The rest of a cut body is not read.
    """
    decoder, content, arrived = _decoder(encoding), bytearray(), 0
    async for chunk in chunks:
        arrived += len(chunk)
        content += decoder.decode(chunk, at_most + 1 - len(content))
        if len(content) > at_most or arrived > at_most + CHUNK_BYTES:
            return Body(bytes(content[:at_most]), is_cut=True)
    return Body(bytes(content), is_cut=not decoder.is_whole)


async def read_answer(chunks: AsyncIterable[bytes], encoding: str | None, status: int, at_most: int) -> bytes:
    """The body of a response: complete if the status is 200, otherwise as much as explains the error.

    Raises `BodyTooLarge` and `BodyUnreadable`.
    """
    if status == 200:
        return await read_whole(chunks, encoding, at_most)
    return (await read_body(chunks, encoding, ERROR_BYTES_AT_MOST)).content


async def read_whole(chunks: AsyncIterable[bytes], encoding: str | None, at_most: int) -> bytes:
    """The complete body. Also raises `BodyTooLarge`."""
    body = await read_body(chunks, encoding, at_most)
    if body.is_cut and len(body.content) < at_most:
        raise BodyUnreadable("the answer did not end as its Content-Encoding says")
    if body.is_cut:
        raise BodyTooLarge(f"the answer has more than {at_most} bytes")
    return body.content


class _Decoder(Protocol):
    is_whole: bool

    def decode(self, chunk: bytes, at_most: int) -> bytes:
        """The next bytes, at most `at_most`. The rest is dropped."""


class _Plain:
    is_whole = True

    def decode(self, chunk: bytes, at_most: int) -> bytes:
        return chunk[:at_most]


class _Inflated:
    """Inflates gzip, which has one or more members, or zlib, which has one. A body without a complete member is cut."""

    def __init__(self, *, has_members: bool) -> None:
        self._has_members = has_members
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        self.is_whole = False

    def decode(self, chunk: bytes, at_most: int) -> bytes:
        content = bytearray()
        while chunk and len(content) < at_most:
            if self.is_whole:
                self._begin_next_member()
            try:
                content += self._inflate.decompress(chunk, at_most - len(content))
            except zlib.error as error:
                raise BodyUnreadable(f"the answer does not match its Content-Encoding: {error}") from None
            self.is_whole, chunk = self._inflate.eof, self._inflate.unused_data
        return bytes(content)

    def _begin_next_member(self) -> None:
        if not self._has_members:
            raise BodyUnreadable("the answer goes on after its Content-Encoding has ended")
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)


def _decoder(encoding: str | None) -> _Decoder:
    match (encoding or "identity").strip().lower():
        case "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Inflated(has_members=True)
        case "deflate":
            return _Inflated(has_members=False)
        case other:
            raise BodyUnreadable(f"the answer is encoded as {other[:40]!r}, which was not requested")
