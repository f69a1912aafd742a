"""Stores records that are too large for their dead letter in a folder: one file for each letter.

The stages write them if `worker.oversized_dir` is set (a volume that outlives the process); `nightdesk dlq show` and
`replay` read them. A file is one line of JSON (key and headers, base64), followed by the unchanged value.
"""

import os
import re
from base64 import b64decode, b64encode
from pathlib import Path

import orjson

from nightdesk.schemas.dead_letters import Original

_LETTER_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def keep(folder: Path, letter_id: str, original: Original) -> None:
    """Write a record; it is on the disk when this returns. Raises OSError."""
    path = _path(folder, letter_id)
    if path is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        about = {"key": _text(original.key), "headers": _texts(original), "value": original.value is not None}
        file.write(orjson.dumps(about))
        file.write(b"\n")
        file.write(original.value or b"")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def find(folder: Path, letter_id: str) -> Original | None:
    """The record of a letter, if it is stored here. Raises OSError, or ValueError for a file that is not ours."""
    path = _path(folder, letter_id)
    if path is None or not path.exists():
        return None
    line, _, value = path.read_bytes().partition(b"\n")
    about = orjson.loads(line)
    headers = tuple((name, _bytes(text)) for name, text in about["headers"])
    return Original(_bytes(about["key"]), value if about["value"] else None, headers)


def _path(folder: Path, letter_id: str) -> Path | None:
    """Any client can write a letter with any id: an id that is no UUID names no file."""
    return folder / f"{letter_id}.record" if _LETTER_ID.fullmatch(letter_id) else None


def _texts(original: Original) -> list[tuple[str, str | None]]:
    return [(name.encode(errors="backslashreplace").decode(), _text(value)) for name, value in original.headers]


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
