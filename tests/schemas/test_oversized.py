"""A record that is too large for its dead letter is found again whole, in a folder that need not be there before."""

import uuid
from pathlib import Path

import pytest

from nightdesk.schemas.dead_letters import Original
from nightdesk.schemas.oversized import find, keep

ID = str(uuid.UUID(int=7))


@pytest.mark.parametrize(
    "original",
    [
        Original(b"key", b"value\nof two lines", (("name", b"\xff"), ("empty", b""), ("none", None))),
        Original(None, None, ()),
        Original(b"", b"", ()),
    ],
)
def test_it_is_kept_and_found_whole(tmp_path: Path, original: Original) -> None:
    folder = tmp_path / "not" / "there yet"
    for _ in range(2):  # a process that dies after it writes its letters again
        keep(folder, ID, original)
    assert find(folder, ID) == original
    assert [path.name for path in folder.iterdir()] == [f"{ID}.record"]


@pytest.mark.parametrize("letter_id", ["", "../escape", f"{ID}/../x", ID.upper().replace("0", "A", 1), f"{ID}\n"])
def test_an_id_that_is_none_names_no_file(tmp_path: Path, letter_id: str) -> None:
    folder = tmp_path / "kept"
    keep(folder, letter_id, Original(b"", b"", ()))
    assert not folder.exists()
    assert find(folder, letter_id) is None
    assert find(folder, ID) is None
