"""Ports of this machine: whether one is in use, and free ones for parts that start later."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterator
from functools import cache

from nightdesk.local.parts import LOOPBACK
from nightdesk.messaging.failures import Failure

# Operating systems give outgoing connections a port above these (Linux from 32768, others from 49152). Such a port
# could be taken between the claim and the start of the part, which would then fail repeatedly.
_CLAIMABLE = range(20_000, 32_768)


def listens(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0


def claim_port(port: int, variable: str) -> int:
    """`port`, or for 0 a free one that this process has not been given before. Raises `Failure`, which names
    `variable`, if another program listens there, and if no port is free.
    """
    if port == 0:
        return _free_port()
    try:
        _bind(port)
    except OSError as error:
        raise Failure(
            f"port {port} is in use ({error.strerror})",
            f"Stop the program that listens there, or set {variable} to another port",
        ) from error
    return port


def _free_port() -> int:
    free = next(filter(_is_free, itertools.islice(_candidates(), len(_CLAIMABLE))), None)
    if free is None:
        raise Failure(
            f"no port from {_CLAIMABLE[0]} to {_CLAIMABLE[-1]} can be bound on {LOOPBACK}",
            "Allow this user to listen on loopback, or stop programs that hold the ports",
        )
    return free


@cache
def _candidates() -> Iterator[int]:
    """Every claimable port in turn, from a random one, because other processes claim ports too."""
    first = random.SystemRandom().randrange(len(_CLAIMABLE))
    return itertools.cycle((*_CLAIMABLE[first:], *_CLAIMABLE[:first]))


def _is_free(port: int) -> bool:
    try:
        _bind(port)
    except OSError:
        return False
    return True


def _bind(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
