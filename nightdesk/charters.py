"""Reads charters and the files beside them: the edge around the pure parser.

`nightdesk charter` and `nightdesk up` call it.
"""

from __future__ import annotations

from pathlib import Path

from nightdesk.exits import ExitCode, Failure
from processors.charter import Charter, parse_charter
from processors.charter.parsing import named_files

CHARTER_FILE = "charter.yaml"
MAX_FILE_BYTES = 1_000_000


def charter_file(path: Path) -> Path:
    """The charter that `path` means: the file itself, or the `charter.yaml` in a folder."""
    return path / CHARTER_FILE if path.is_dir() else path


def charter_files(folder: Path) -> tuple[Path, ...]:
    """The charters in a folder of charters (`NAME/charter.yaml`), by name."""
    return tuple(sorted(folder.glob(f"*/{CHARTER_FILE}")))


def load_charter(path: Path) -> Charter:
    """The charter in a file or folder, with the files that it names.

    Raises `CharterInvalid` with all that is wrong in it, and `Failure` where there is no readable file.
    """
    file = charter_file(path)
    text = _read(file)
    beside = file.parent.resolve()
    files = {}
    for name in named_files(text):
        target = (beside / name).resolve()
        # A charter takes only what lies beside it: its whole content travels to every worker.
        if target.is_relative_to(beside) and target.is_file():
            files[name] = _read(target)
    return parse_charter(text, files)


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise Failure(f"{file} has more than {MAX_FILE_BYTES} bytes", "A charter and its files are small texts")
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Failure(f"there is no file {file}", "Name a charter.yaml or its folder", ExitCode.NOT_FOUND) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", "Make it a readable UTF-8 text") from None
