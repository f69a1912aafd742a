"""`<home>/stack.json`: how a running `nightdesk up` tells every other terminal where things listen.

Written by the supervisor once all parts are ready, read by `nightdesk.settings`. A file whose process is gone is
ignored: after a kill -9 nobody is sent to ports where nothing listens.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "stack.json"


@dataclass(frozen=True, slots=True)
class RunningStack:
    """`settings` is a partial `Settings` document: only endpoints, no secrets."""

    pid: int
    settings: dict[str, Any]


def running_stack(home: Path) -> RunningStack | None:
    """The stack that runs on `home`, or None."""
    try:
        document = json.loads((home / FILE_NAME).read_text())
        stack = RunningStack(pid=int(document["pid"]), settings=dict(document["settings"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        return None  # half-written or foreign: as good as absent, the next `up` replaces it
    return stack if _is_alive(stack.pid) else None


def announce(home: Path, settings: dict[str, Any]) -> None:
    """Say that this process runs the stack on `home`. Replaces the file at once, so no reader sees half of it."""
    stack = RunningStack(pid=os.getpid(), settings=settings)
    draft = home / f"{FILE_NAME}.{stack.pid}"
    draft.write_text(json.dumps(asdict(stack), indent=2) + "\n")
    draft.replace(home / FILE_NAME)


def withdraw(home: Path) -> None:
    """Take back what `announce` said."""
    (home / FILE_NAME).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
