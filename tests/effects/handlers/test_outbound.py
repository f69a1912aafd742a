"""Which addresses calls may reach: every known way to write a forbidden address, without a single connection."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_address

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from nightdesk.effects.handlers.http import HttpStepHandler
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import (
    AddressRefused,
    Connection,
    ConnectionInvalid,
    GuardedResolver,
    base_url,
    check_address,
)
from nightdesk.processors.charter.handlers import HttpHandler
from tests.effects.handlers.conftest import call

# PORT is that of a server on the loopback addresses, which must never be reached.
LOOPBACK = [
    "http://127.0.0.1:PORT",
    "http://127.0.0.1:PORT/",
    "http://127.0.0.1.:PORT",
    "http://127.1:PORT",
    "http://127.0.1:PORT",
    "http://127.8.8.8:PORT",
    "http://2130706433:PORT",
    "http://0x7f000001:PORT",
    "http://0x7f.0.0.1:PORT",
    "http://0x7f.1:PORT",
    "http://0X7F.0X0.0X0.0X1:PORT",
    "http://0177.0.0.1:PORT",
    "http://0177.1:PORT",
    "http://017700000001:PORT",
    "http://00000177.0.0.1:PORT",
    "http://127.0.0.0x1:PORT",
    "http://0:PORT",
    "http://0.0.0.0:PORT",
    "http://0x0:PORT",
    "http://[::1]:PORT",
    "http://[0:0:0:0:0:0:0:1]:PORT",
    "http://[0000::0001]:PORT",
    "http://[::]:PORT",
    "http://[::ffff:127.0.0.1]:PORT",
    "http://[::ffff:7f00:1]:PORT",
    "http://[0:0:0:0:0:ffff:7f00:1]:PORT",
    "http://[::127.0.0.1]:PORT",
    "http://[64:ff9b::7f00:1]:PORT",
    "http://[64:ff9b::127.0.0.1]:PORT",
    "http://[64:ff9b:1::7f00:1]:PORT",
    "http://[2002:7f00:1::]:PORT",
    "http://[2001:0:7f00:1::]:PORT",
    "http://[fe80::1%25lo]:PORT",
    "http://localhost:PORT",
    "http://LOCALHOST:PORT",
    "http://loc\u0061lhost:PORT",
    "http://ⓛocalhost:PORT",
    "http://①②⑦.⓪.⓪.①:PORT",
    "http://127。0。0。1:PORT",
    "http://user@127.0.0.1:PORT",
    "http://public.example@127.0.0.1:PORT",
    "http://public.example:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@public.example",
    "http://127.0.0.1:PORT?@public.example",
    "http://127.0.0.1:PORT\\@public.example",
    "http:\\\\127.0.0.1:PORT",
    "http:127.0.0.1:PORT",
    "//127.0.0.1:PORT",
    "127.0.0.1:PORT",
    "ftp://127.0.0.1:PORT",
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/_GET",
    "unix:///var/run/docker.sock",
    "",
    "http://",
    "http://:PORT",
]
ELSEWHERE = [
    "http://10.0.0.1",
    "http://172.16.0.1",
    "http://192.168.1.1",
    "http://100.64.0.1",
    "http://192.0.2.1",
    "http://169.254.1.1",
    "http://[fc00::1]",
    "http://[fe80::1]",
    "http://[::ffff:10.0.0.1]",
    "http://224.0.0.1",
    "http://255.255.255.255",
]
# Not even for connections that are allowed private addresses.
NEVER = [
    "http://169.254.169.254",
    "http://[::ffff:169.254.169.254]",
    "http://[64:ff9b::a9fe:a9fe]",
    "http://2852039166",
    "http://0xa9fea9fe",
    "http://0251.0376.0251.0376",
    "http://100.100.100.200",
    "http://168.63.129.16",
    "http://192.0.0.192",
    "http://[fd00:ec2::254]",
    "http://[fd20:ce::254]",
    "http://169.254.170.2",
    "http://0.0.0.0",
    "http://[::]",
    "http://[ff02::1]",
]


class Trap:
    """A server on the loopback addresses that counts connections."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    def caught(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    trap = Trap()
    server = await asyncio.start_server(trap.caught, "127.0.0.1")
    trap.port = server.sockets[0].getsockname()[1]
    servers = [server]
    with suppress(OSError):  # a machine without IPv6: its addresses are refused all the same
        servers.append(await asyncio.start_server(trap.caught, "::1", trap.port))
    yield trap
    for one in servers:
        one.close()
        await one.wait_closed()


async def attempt(connection: Connection) -> str:
    """How calling it fails: when it is built, or with a result that is not retried."""
    try:
        client = HttpClient([connection])
    except ConnectionInvalid:
        return "refused"
    try:
        handler = HttpHandler(type="http", connection="x", path="/latest/meta-data", idempotent="none", timeout=2)
        result = await HttpStepHandler(handler, connection, client).run(call())
    finally:
        await client.aclose()
    return "refused" if result.status == "failed" and not result.retryable else str(result)


async def test_the_trap_works(trap: Trap) -> None:
    await attempt(Connection(f"http://127.0.0.1:{trap.port}", allow_private=True))
    assert trap.connections == 1


@pytest.mark.parametrize("url", LOOPBACK)
async def test_no_notation_of_loopback_is_reached(trap: Trap, url: str) -> None:
    assert await attempt(Connection(url.replace("PORT", str(trap.port)))) == "refused"
    assert trap.connections == 0


@pytest.mark.parametrize("url", ELSEWHERE + NEVER)
async def test_addresses_that_are_not_public_are_refused(url: str) -> None:
    assert await attempt(Connection(url)) == "refused"


@pytest.mark.parametrize("url", NEVER)
async def test_metadata_is_never_reached(url: str) -> None:
    assert await attempt(Connection(url, allow_private=True)) == "refused"


@pytest.mark.parametrize("url", ["http://10.0.0.1", "http://127.0.0.1:1", "http://[fc00::1]/api", "https://[::1]"])
def test_private_addresses_where_they_are_meant(url: str) -> None:
    assert str(base_url(Connection(url, allow_private=True))).startswith(url)


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(text: str) -> None:
    check_address(ip_address(text), allow_private=False)


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://api.example", "https://api.example/"),
        ("https://api.example/v1/", "https://api.example/v1"),
        ("https://api.example:8443/v1", "https://api.example:8443/v1"),
    ],
)
def test_a_good_base_url(url: str, checked: str) -> None:
    assert str(base_url(Connection(url))) == checked


def test_a_token_is_not_shown() -> None:
    assert "hidden" not in repr(Connection("https://api.example", token="hidden"))


class Answers(AbstractResolver):
    """An attacker's name server: a different address each time."""

    def __init__(self, *addresses: tuple[str, ...]) -> None:
        self._addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses.pop(0)
        ]

    async def close(self) -> None: ...


async def test_each_resolution_is_checked_and_every_address_in_it() -> None:
    names = Answers(("8.8.8.8",), ("8.8.8.8", "127.0.0.1"), ("::1",), ("169.254.169.254",))
    resolver = GuardedResolver([Connection("https://api.example")], names)
    assert [found["host"] for found in await resolver.resolve("api.example")] == ["8.8.8.8"]
    for _ in range(3):
        with pytest.raises(AddressRefused):
            await resolver.resolve("api.example")


async def test_only_hosts_of_connections_are_resolved() -> None:
    resolver = GuardedResolver([Connection("https://api.example")], Answers(("8.8.8.8",)))
    with pytest.raises(AddressRefused, match="not the host of a connection"):
        await resolver.resolve("other.example")


async def test_of_two_connections_with_one_host_the_stricter_counts() -> None:
    two = [Connection("https://api.example/a", allow_private=True), Connection("https://api.example/b")]
    for connections in (two, two[::-1]):
        with pytest.raises(AddressRefused, match="not public"):
            await GuardedResolver(connections, Answers(("10.0.0.1",))).resolve("api.example")


# Names that anyone can point anywhere, and what they are pointed to. PORT's trap listens on the loopback addresses.
NAMES = {
    "localtest.example": ("127.0.0.1",),
    "127.0.0.1.nip.example": ("127.0.0.1",),
    "metadata.google.internal": ("169.254.169.254",),
    "kubernetes.default.svc": ("10.96.0.1",),
    "six.example": ("::1",),
    "mapped.example": ("::ffff:127.0.0.1",),
    "translated.example": ("64:ff9b::7f00:1",),
    "nowhere.example": ("0.0.0.0",),
    "link.example": ("fe80::1",),
    "first-public.example": ("8.8.8.8", "127.0.0.1"),
    "first-private.example": ("127.0.0.1", "8.8.8.8"),
}


class NameServer:
    """Replaces the system's name server: returns `answers` in turn, then always the last, and counts the questions."""

    def __init__(self, name: str, *answers: tuple[str, ...]) -> None:
        self.asked = 0
        self._name = name
        self._answers = list(answers)

    def lookup(self, host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host != self._name:
            raise socket.gaierror(f"no such name: {host}")
        self.asked += 1
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [_address_info(address, port) for address in addresses]


def _address_info(address: str, port: int) -> tuple[object, ...]:
    six = ":" in address
    place = (address, port, 0, 0) if six else (address, port)
    return (socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_leads_inside_is_not_followed(trap: Trap, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = NameServer(name, NAMES[name])
    monkeypatch.setattr(socket, "getaddrinfo", names.lookup)
    assert await attempt(Connection(f"http://{name}:{trap.port}")) == "refused"
    assert (trap.connections, names.asked) == (0, 1)


async def test_a_name_that_leads_to_metadata_is_not_followed_where_private_addresses_are_meant(
    trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = NameServer("inside.example", ("127.0.0.1", "169.254.169.254"))
    monkeypatch.setattr(socket, "getaddrinfo", names.lookup)
    assert await attempt(Connection(f"http://inside.example:{trap.port}", allow_private=True)) == "refused"
    assert trap.connections == 0


async def test_the_address_that_was_checked_is_the_one_that_is_called(
    trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that changes after the check: it is resolved once, and not again for the next call."""
    names = NameServer("moving.example", ("127.0.0.1",), ("169.254.169.254",))
    monkeypatch.setattr(socket, "getaddrinfo", names.lookup)
    connection = Connection(f"http://moving.example:{trap.port}", allow_private=True)
    client = HttpClient([connection])
    handler = HttpHandler(type="http", connection="x", path="/", idempotent="none", timeout=2)
    for _ in range(2):
        await HttpStepHandler(handler, connection, client).run(call())
    await client.aclose()
    assert (trap.connections, names.asked) == (2, 1)


def test_the_corpus_is_not_small() -> None:
    assert len({*LOOPBACK, *ELSEWHERE, *NEVER, *NAMES}) >= 30
