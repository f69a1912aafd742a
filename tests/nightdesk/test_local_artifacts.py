"""The cache of Java programs with a Maven repository on loopback: an artifact is complete or missing, never partial."""

from __future__ import annotations

import asyncio
import gzip
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from nightdesk.local.artifacts import Cache, Program, digest_of
from nightdesk.local.progress import Silent
from nightdesk.messaging.failures import Failure, FailureKind

PATH = "/org/example/program/1.0/program-1.0-all.tar.gz"


def archive() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as files:
        entry = tarfile.TarInfo("run.jar")
        entry.size = 3
        files.addfile(entry, io.BytesIO(b"jar"))
    return gzip.compress(content.getvalue(), mtime=0)


class Maven:
    """A repository with one artifact."""

    def __init__(self) -> None:
        self.content = archive()
        self.requests = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        return web.Response(body=self.content) if request.path == PATH else web.Response(status=404)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The repository's artifact, pinned."""
    file = tmp_path / "program-1.0-all.tar.gz"
    file.write_bytes(archive())
    return Program("org.example", "program", "1.0", digest_of([file]), classifier="all", packaging="tar.gz")


@pytest.fixture
async def maven() -> AsyncIterator[tuple[Maven, str]]:
    repository = Maven()
    app = web.Application()
    app.router.add_get("/{path:.*}", repository.answer)
    async with TestServer(app) as server:
        yield repository, str(server.make_url("/"))


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def fetch(cache: Cache, program: Program) -> Path:
    return await asyncio.to_thread(cache.folder, program, Silent())


async def test_it_is_fetched_once(tmp_path: Path, program: Program, maven: tuple[Maven, str]) -> None:
    repository, url = maven
    folder = await fetch(Cache(tmp_path / "cache", url), program)
    assert (folder / "run.jar").read_bytes() == b"jar"
    asked = repository.requests
    assert await fetch(Cache(tmp_path / "cache", url), program) == folder
    assert repository.requests == asked


async def test_what_came_damaged_is_not_kept(tmp_path: Path, program: Program, maven: tuple[Maven, str]) -> None:
    repository, url = maven
    right, repository.content = repository.content, repository.content + b"\0"
    with pytest.raises(Failure, match=r"cannot fetch program 1\.0.*damaged"):
        await fetch(Cache(tmp_path / "cache", url), program)
    assert names(tmp_path / "cache") == []
    repository.content = right
    assert names(await fetch(Cache(tmp_path / "cache", url), program)) == ["run.jar"]


async def test_no_network_says_what_to_do(tmp_path: Path, program: Program) -> None:
    with pytest.raises(Failure, match=r"Check the network.*NIGHTDESK_LOCAL__MAVEN_URL") as caught:
        await fetch(Cache(tmp_path / "cache", "http://127.0.0.1:1"), program)
    assert caught.value.kind is FailureKind.UNREACHABLE
