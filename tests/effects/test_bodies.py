"""However a body is sent, only a bounded part of it is read."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.effects.bodies import BodyTooLarge, BodyUnreadable, read_answer, read_body, read_whole

AT_MOST = 1_000
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}


async def chunks_of(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("encoding", [*PACKED, "GZIP", " gzip "])
@given(st.binary(max_size=AT_MOST), st.integers(1, 50))
async def test_what_fits_is_read_as_it_was(encoding: str, content: bytes, size: int) -> None:
    packed = PACKED[encoding.strip().lower()](content)
    parts = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert await read_body(chunks_of(parts), encoding, AT_MOST) == (content, False)


@pytest.mark.parametrize("encoding", PACKED)
async def test_the_bound_is_on_what_comes_out(encoding: str) -> None:
    packed = PACKED[encoding](b"x" * 60_000_000)
    assert await read_body(chunks_of([packed]), encoding, AT_MOST) == (b"x" * AT_MOST, True)
    with pytest.raises(BodyTooLarge):
        await read_whole(chunks_of([packed]), encoding, AT_MOST)


async def test_at_the_bound_and_one_above() -> None:
    assert await read_whole(chunks_of([b"x" * AT_MOST]), None, AT_MOST) == b"x" * AT_MOST
    with pytest.raises(BodyTooLarge):
        await read_whole(chunks_of([b"x" * AT_MOST, b"x"]), None, AT_MOST)


async def test_of_an_error_so_much_is_read_as_explains_it() -> None:
    """64 kB, and never an error about the error; of a good answer all of it or nothing."""
    long = [b"x" * 64_000, b"y" * 64_000]
    assert await read_answer(chunks_of(long), None, 500, AT_MOST) == b"x" * 64_000
    assert await read_answer(chunks_of([b"short"]), None, 201, 1) == b"short"
    with pytest.raises(BodyTooLarge):
        await read_answer(chunks_of(long), None, 200, AT_MOST)


async def test_what_never_ends_is_left() -> None:
    read = 0

    async def endless(chunk: bytes) -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += len(chunk)
            yield chunk

    assert (await read_body(endless(b"x" * 100), None, AT_MOST)).is_cut
    assert read <= 2 * AT_MOST
    read = 0
    # Empty blocks of deflate: nothing ever comes out.
    nothing = zlib.compress(b"", 0)[:2]
    blocks = chunks_then(nothing, endless(b"\x00\x00\x00\xff\xff" * 100))
    assert (await read_body(blocks, "deflate", AT_MOST)).is_cut
    assert read < 100_000


async def chunks_then(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 10_000])
async def test_what_was_not_asked_for_is_not_guessed(encoding: str) -> None:
    with pytest.raises(BodyUnreadable) as raised:
        await read_body(chunks_of([b"{}"]), encoding, AT_MOST)
    assert len(str(raised.value)) < 200


async def test_what_is_not_what_it_says_is_unreadable() -> None:
    with pytest.raises(BodyUnreadable):
        await read_body(chunks_of([b"{}" * 100]), "gzip", AT_MOST)


COMPRESSED = sorted(PACKED.keys() - {"identity"})


@pytest.mark.parametrize("encoding", COMPRESSED)
@given(st.binary(max_size=AT_MOST // 2), st.data())
async def test_an_answer_that_ended_before_its_encoding_did_is_cut(
    encoding: str, content: bytes, data: st.DataObject
) -> None:
    packed = PACKED[encoding](content)
    kept = data.draw(st.integers(0, len(packed) - 1))
    body = await read_body(chunks_of([packed[:kept]]), encoding, AT_MOST)
    assert body.is_cut
    assert content.startswith(body.content)
    with pytest.raises(BodyUnreadable, match="did not end"):
        await read_whole(chunks_of([packed[:kept]]), encoding, AT_MOST)


@given(st.lists(st.binary(max_size=100), min_size=2, max_size=5), st.integers(1, 50))
async def test_each_member_of_a_gzip_answer_is_read(members: list[bytes], size: int) -> None:
    packed = b"".join(map(gzip.compress, members))
    parts = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert await read_body(chunks_of(parts), "gzip", AT_MOST) == (b"".join(members), False)
    assert (await read_body(chunks_of([packed[:-1]]), "gzip", AT_MOST)).is_cut


async def test_the_bound_is_on_all_members_together() -> None:
    packed = gzip.compress(b"x" * 600) + gzip.compress(b"y" * 60_000_000)
    assert await read_body(chunks_of([packed]), "gzip", AT_MOST) == (b"x" * 600 + b"y" * 400, True)
    many = gzip.compress(b"") * 200_000
    blocks = chunks_of(many[start : start + 16_384] for start in range(0, len(many), 16_384))
    assert (await read_body(blocks, "gzip", AT_MOST)).is_cut, "nothing comes out, and it is not read to its end"


@pytest.mark.parametrize(("encoding", "rest"), [("gzip", b"{}" * 20), ("deflate", zlib.compress(b"more"))])
async def test_what_follows_the_end_is_not_dropped(encoding: str, rest: bytes) -> None:
    with pytest.raises(BodyUnreadable):
        await read_body(chunks_of([PACKED[encoding](b"{}") + rest]), encoding, AT_MOST)
