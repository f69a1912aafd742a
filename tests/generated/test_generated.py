"""Generated files are what the specifications say; a difference names what is missing and how to write it."""

import difflib
from pathlib import Path

import pytest

from tests.generated.files import ROOT, generated

FILES = generated()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_file_is_what_the_specifications_say(path: Path) -> None:
    committed = (ROOT / path).read_text()
    changes = difflib.unified_diff(
        committed.splitlines(), FILES[path].splitlines(), "committed", "wanted", n=0, lineterm=""
    )
    listed = "\n".join(changes)
    assert not listed, f"{path} does not follow from the specifications: run `make generate`\n{listed}"
