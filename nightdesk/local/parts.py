"""What the supervisor starts: one `Part` is one child process and how to tell that it is ready.

The modules `kafka`, `registry`, `clickhouse` and `helpdesk` each make one, `nightdesk.commands.up` makes the stages.
"""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nightdesk.exits import Failure

LOOPBACK = "127.0.0.1"
# Of what the audit goes through: nobody waits for it but who reads.
AUDIT_NICENESS = 10


@dataclass(frozen=True, slots=True)
class Part:
    """A child process. Those of the highest `wave` are stopped first: stages (1) before what they talk to (0).

    `niceness` is 0 to 19: on a busy machine the turn of a nicer one comes later.
    """

    name: str
    where: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool] = lambda: True
    environment: Mapping[str, str] = field(default_factory=dict)
    wave: int = 0
    niceness: int = 0
    ready_within_s: float = 120.0
    grace_s: float = 10.0


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of our modules with this interpreter."""
    return (sys.executable, "-m", module, *arguments)


def answers_http(url: str) -> Callable[[], bool]:
    """A readiness check: GET `url` gives a 2xx."""

    def check() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310  # always loopback http
                return bool(200 <= response.status < 300)
        except (OSError, urllib.error.URLError):
            return False

    return check


def listens(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0


def claim_port(port: int, variable: str) -> int:
    """`port`, or a free one for 0. Raises `Failure` that names `variable` when another program listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise Failure(
                f"port {port} is in use ({error.strerror})",
                f"Stop the program that listens there, or set {variable} to another port",
            ) from error
        return int(probe.getsockname()[1])
