"""Files of the local stack that contain secrets."""

from __future__ import annotations

import os
from pathlib import Path

OWNER_ONLY = 0o600


def write_for_owner(file: Path, text: str) -> None:
    """Atomically replace `file` by one that only its owner can read."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w", encoding="utf-8") as stream:
        stream.write(text)
    draft.replace(file)
