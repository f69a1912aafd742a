"""A copy of the repository in which a recipe is followed: new files, replaced lines, then `make generate`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_COPIED = (".venv", ".git", ".nightdesk", ".*_cache", ".hypothesis", "__pycache__", "extensions")


@dataclass(frozen=True, slots=True)
class Edit:
    """In `path` the text `old`, which stands there once, becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one thing is added. `heading` is its section in CONTRIBUTING.md, `words` are what the section's names stand
    for, `files` are new (path -> text), `checks` are the tests that hold them.
    """

    heading: str
    words: dict[str, str]
    files: dict[str, str]
    edits: tuple[Edit, ...]
    checks: tuple[str, ...]

    @property
    def by_hand(self) -> set[str]:
        """What a person touches, tests apart: ours, and the chart's own."""
        touched = {*self.files, *(edit.path for edit in self.edits)}
        return {path for path in touched if "tests" not in Path(path).parts}


class Copy:
    """The repository at `root` with the recipe followed, except in the files that are `forgotten`."""

    def __init__(self, root: Path, recipe: Recipe, forgotten: Iterable[str] = ()) -> None:
        self.root = root
        shutil.copytree(ROOT, root, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
        for path, text in recipe.files.items():
            assert not (root / path).exists(), f"{path} is there already"
            if path not in forgotten:
                (root / path).write_text(text)
        for edit in recipe.edits:
            text = (root / edit.path).read_text()
            assert text.count(edit.old) == 1, f"{edit.path} has not one {edit.old!r}: the recipe is out of date"
            if edit.path not in forgotten:
                (root / edit.path).write_text(text.replace(edit.old, edit.new))

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a Python module in the copy."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), "COLUMNS": "400"}
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=280
        )

    def generate(self) -> None:
        """`make generate`."""
        done = self.run("tests.generated")
        assert done.returncode == 0, done.stderr

    def check(self, *paths: str) -> "subprocess.CompletedProcess[str]":
        """Run tests in the copy."""
        return self.run("pytest", "-q", "-p", "no:cacheprovider", *paths)
