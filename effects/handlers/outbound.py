"""Restricts calls to the hosts of the settings' connections, and to public addresses unless a connection allows others.

`http.py` checks each connection when it is built, and resolves names through `GuardedResolver`. The client connects to
exactly the checked address, so a name whose address changes in between gains nothing.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from nightdesk.processors.quantities import Rate

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# The credentials of the machine can be requested here, so no connection may name these, not even with allow_private.
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("168.63.129.16", "169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Networks that embed an IPv4 address, besides NAT64 and ::ffff:0:0/96: no API has such an address.
TUNNELS = tuple(ipaddress.ip_network(text) for text in ("::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"))
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


@dataclass(frozen=True, slots=True)
class Connection:
    """Another system. `allow_private` is for systems in your own network, and for the local stack; `rate` limits the
    calls of all workers together. `agents` are those that may call it; empty means every one.
    """

    base_url: str
    token: str | None = field(default=None, repr=False)
    allow_private: bool = False
    rate: Rate | None = None
    agents: frozenset[str] = frozenset()


class ConnectionInvalid(ValueError):
    """A connection's `base_url` can never be called; the message says why."""


class AddressRefused(OSError):
    """A name resolves to an address that must not be called. An OSError, because that is what resolvers raise."""


def base_url(connection: Connection) -> URL:
    """The checked URL that paths are appended to, without a trailing slash. Raises `ConnectionInvalid`."""
    try:
        url = URL(connection.base_url)
        host = url.raw_host
    except ValueError as error:
        raise ConnectionInvalid(f"base_url {connection.base_url!r} is not a url: {error}") from None
    if url.scheme not in ("http", "https") or not host:
        raise ConnectionInvalid(f"base_url {connection.base_url!r}: write http://host or https://host")
    if url.user is not None or url.password is not None:
        raise ConnectionInvalid("base_url has a user or password: set the connection's token instead")
    if url.raw_query_string or url.raw_fragment or "\\" in connection.base_url:
        raise ConnectionInvalid(f"base_url {connection.base_url!r} has more than a host and a path")
    _check_host(host, connection.allow_private)
    return url.with_path(url.raw_path.rstrip("/") or "/", encoded=True)


def _check_host(host: str, allow_private: bool) -> None:
    looks_numeric = ":" in host or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None
    if not looks_numeric:
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ConnectionInvalid(f"host {host!r}: write an IP address as 192.0.2.1 or [2001:db8::1]") from None
    try:
        check_address(address, allow_private)
    except AddressRefused as error:
        raise ConnectionInvalid(str(error)) from None


def check_address(address: IPAddress, allow_private: bool) -> None:
    """Raise `AddressRefused` if the address must not be called."""
    reached = _reached(address)
    if reached in METADATA or reached.is_link_local or reached.is_multicast or reached.is_unspecified:
        raise AddressRefused(f"{address} is a metadata, link-local, multicast or empty address: it is never called")
    if any(reached in network for network in TUNNELS) and not reached.is_loopback:
        raise AddressRefused(f"{address} embeds another address: it is never called")
    if not reached.is_global and not allow_private:
        raise AddressRefused(f"{address} is not public: set the connection's allow_private to call it")


def _reached(address: IPAddress) -> IPAddress:
    """The address that packets are delivered to."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class GuardedResolver(AbstractResolver):
    """Resolves the names of connections and no others, and refuses addresses that must not be called."""

    def __init__(self, connections: Iterable[Connection], resolver: AbstractResolver | None = None) -> None:
        """Build it inside the event loop. `resolver` returns the addresses to check; by default the system's."""
        self._allow_private: dict[str, bool] = {}
        for connection in connections:
            host = base_url(connection).raw_host or ""
            # If two connections have one host, the stricter one counts.
            self._allow_private[host] = connection.allow_private and self._allow_private.get(host, True)
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The checked addresses of a name. Raises `AddressRefused`, or OSError if the name has none."""
        if host not in self._allow_private:
            raise AddressRefused(f"{host} is not the host of a connection")
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            check_address(ipaddress.ip_address(result["host"]), self._allow_private[host])
        return found

    async def close(self) -> None:
        await self._resolver.close()
