"""`<home>/stack.json`: the endpoints of a running `nightdesk up`, for every other terminal.

The supervisor writes it once all parts are ready, and `nightdesk.settings` reads it. A file whose process is gone is
ignored: after a kill -9 no client connects to ports where nothing listens.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nightdesk.owner_files import write_for_owner

FILE_NAME = "stack.json"


@dataclass(frozen=True, slots=True)
class RunningStack:
    """`settings` is a partial `Settings` document: endpoints, and the secrets that they require."""

    pid: int
    settings: dict[str, Any]


def running_stack(home: Path) -> RunningStack | None:
    """The stack that runs in `home`, or None."""
    try:
        document = json.loads((home / FILE_NAME).read_text(encoding="utf-8"))
        stack = RunningStack(pid=int(document["pid"]), settings=dict(document["settings"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        return None  # half-written or foreign: treated as missing, the next `up` replaces it
    return stack if _is_alive(stack.pid) else None


def announce(home: Path, settings: dict[str, Any]) -> None:
    """Record that this process runs the stack in `home`. The file is replaced atomically."""
    stack = RunningStack(pid=os.getpid(), settings=settings)
    write_for_owner(home / FILE_NAME, json.dumps(asdict(stack), indent=2) + "\n")


def withdraw(home: Path) -> None:
    """Remove what `announce` recorded."""
    (home / FILE_NAME).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
