"""What the supervisor starts: one `Part` is one child process and its readiness check.

The modules `kafka`, `registry`, `clickhouse` and `helpdesk` create one each; `nightdesk.local.stages` creates the
stages.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
# For children: Java takes the encoding of file names and arguments from the locale, and the home folder may have any
# name.
UTF8 = {"PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
# For processes of the audit's path, whose delay matters least.
AUDIT_NICENESS = 10


@dataclass(frozen=True, slots=True)
class Part:
    """A child process. The highest `wave` is stopped first: stages (1) before the services they use (0).

    `niceness` is 0 to 19: on a busy machine a process with a higher value runs later. `is_alive` checks that it
    answers; a process that runs and does not answer for long is killed and restarted. None: only its exit is noticed.
    """

    name: str
    where: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool] = lambda: True
    is_alive: Callable[[], bool] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    wave: int = 0
    niceness: int = 0
    ready_within_s: float = 120.0
    grace_s: float = 10.0


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of our modules with this interpreter."""
    return (sys.executable, "-m", module, *arguments)


def answers_http(url: str) -> Callable[[], bool]:
    """A readiness check: GET `url` returns 2xx."""

    def check() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310  # always loopback http
                return bool(200 <= response.status < 300)
        except (OSError, urllib.error.URLError):
            return False

    return check
