"""A trial of one fault: a copy of the repository gets it, and the tests that need no broker run there until one
fails.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.faults import Fault

ROOT = Path(__file__).parents[2]
# A fault may make a loop without end.
TIMEOUT_S = 900
_NOTHING_COLLECTED = 5


class Reach(Enum):
    """Which tests run with a fault: those that import its module, also those that mirror it, or all."""

    OWN = "own"
    NEAR = "near"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`caught` by a failing test or by a timeout."""

    module: str
    fault: Fault
    caught: bool
    by: str


@contextmanager
def copy_of_the_repository() -> Iterator[Path]:
    """The copy that gets the faults. Files that git does not know are not copied."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    with TemporaryDirectory(prefix="nightdesk-mutants-") as folder:
        copy = Path(folder)
        for name in filter(None, files.decode().split("\0")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name, follow_symlinks=False)
        yield copy


def tried(copy: Path, module: str, fault: Fault, reach: Reach) -> Verdict:
    """Put the fault in, run the tests until one fails, those of the module first, and remove it again."""
    file = copy / module
    sound = file.read_text()
    file.write_text(fault.put_into(sound))
    try:
        for tests in rounds_of(copy, module, reach):
            failed = first_failure(copy, *tests) if tests else ""
            if failed:
                return Verdict(module, fault, True, failed)
        return Verdict(module, fault, False, "")
    finally:
        file.write_text(sound)


def rounds_of(copy: Path, module: str, reach: Reach) -> tuple[tuple[str, ...], ...]:
    """The tests in the order in which they run; a module may have none of its own."""
    wider = {Reach.OWN: (), Reach.NEAR: ((near(copy, module),),), Reach.ALL: ((near(copy, module),), ("tests",))}
    return (own(copy, module), *wider[reach])


def own(copy: Path, module: str) -> tuple[str, ...]:
    """The files of tests that import the module, or else its package; those with its name first."""
    dotted = "nightdesk." + module.removeprefix("nightdesk/").removesuffix(".py").replace("/", ".")
    return _importing(copy, dotted) or _importing(copy, dotted.rpartition(".")[0])


def _importing(copy: Path, module: str) -> tuple[str, ...]:
    package, _, name = module.rpartition(".")
    imports = re.compile(rf"^from {package}\.{name} |^from {package} import [^\n]*\b{name}\b", re.MULTILINE)
    files = sorted((copy / "tests").rglob("test_*.py"), key=lambda file: (name not in file.stem, file))
    return tuple(str(file.relative_to(copy)) for file in files if imports.search(file.read_text()))


def near(copy: Path, module: str) -> str:
    """The folder of tests that mirrors the module's room."""
    folder = Path("tests") / Path(module).parent
    while not (copy / folder).is_dir():
        folder = folder.parent
    return str(folder)


def first_failure(copy: Path, *tests: str) -> str:
    """The first test that fails, or nothing."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "--without-broker"]
    command.append("--hypothesis-seed=0")  # the same examples with each fault
    command.append(f"--timeout={TIMEOUT_S}")  # on a busy machine a sound test may take long
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(
            [*command, *tests],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "it did not come to an end"
    if run.returncode in (0, _NOTHING_COLLECTED):
        return ""
    failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0] if failed else f"pytest ended with {run.returncode}"
