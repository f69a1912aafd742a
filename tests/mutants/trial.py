"""The trials of drawn faults: a copy of the repository gets them, and the tests that need no broker run there."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from tests.mutants.faults import Fault, lines_of_statement
from tests.mutants.measured import ARGUMENTS, Measured
from tests.mutants.places import ROOT, Place
from tests.mutants.warm import TRIALS, VERDICTS, How, Trial, write_trials

# Its exit status when a test file, or conftest.py, cannot be imported.
_NOT_COLLECTED = (2, 4)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a fault was found, and by which test."""

    module: str
    fault: Fault
    how: How
    by: str = ""


@contextmanager
def copy_of_the_repository() -> Iterator[Path]:
    """The copy that gets the faults. Files that git does not know are not copied."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    with TemporaryDirectory(prefix="nightdesk-mutants-") as folder:
        copy = Path(folder).resolve()
        for name in filter(None, files.decode().split("\0")):
            if (ROOT / name).exists() or (ROOT / name).is_symlink():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / name, follow_symlinks=False)
        yield copy


class Trials:
    """Tries faults in a copy of the repository."""

    def __init__(self, copy: Path, measured: Measured, cpu_s: float) -> None:
        self._copy, self._measured, self._cpu_s = copy, measured, cpu_s

    def verdicts(self, places: list[Place]) -> Iterator[Verdict]:
        """Those in the bodies of functions first: all with one collection of the tests."""
        trials = [self._trial(number, place) for number, place in enumerate(places)]
        unseen = [trial for trial in trials if not trial.tests]
        yield from (Verdict(trial.module, trial.fault, How.UNSEEN) for trial in unseen)
        cold = [trial for trial in trials if trial.tests and not trial.warm]
        for trial, how, by in played(self._copy, [trial for trial in trials if trial.tests and trial.warm]):
            if how is How.NOT_SWAPPABLE:
                cold.append(trial)
            else:
                yield Verdict(trial.module, trial.fault, how, by)
        yield from (tried_in_its_file(self._copy, trial) for trial in cold)

    def _trial(self, number: int, place: Place) -> Trial:
        module, fault = place
        lines = lines_of_statement((ROOT / module).read_text(), fault)
        tests = self._measured.executed(module, lines)
        imported = self._measured.imported(module, lines)
        if imported or not tests:
            tests |= self._measured.uses(module)
        own = own_tests(ROOT, module)
        if imported or not tests:
            tests |= {test for test in self._measured.cpu_s if test.partition("::")[0] in own}
        return Trial(number, module, fault, self._in_order(tests, own), warm=not imported)

    def _in_order(self, tests: set[str], own: frozenset[str]) -> dict[str, float]:
        """Tests that import the module first, then the shortest, as many as there is time for."""
        cpu_s = self._measured.cpu_s
        ordered = sorted(tests & cpu_s.keys(), key=lambda test: (test.partition("::")[0] not in own, cpu_s[test]))
        left, chosen = self._cpu_s, {}
        for test in ordered:
            left -= cpu_s[test]
            if left < 0:
                break
            chosen[test] = cpu_s[test]
        return chosen


def tried_in_its_file(copy: Path, trial: Trial) -> Verdict:
    """Put the fault into the file of the copy, and import everything anew."""
    file = copy / trial.module
    sound = file.read_text()
    file.write_text(trial.fault.put_into(sound))
    try:
        found = list(played(copy, [replace(trial, warm=False)]))
    finally:
        file.write_text(sound)
    return Verdict(trial.module, trial.fault, *(found[0][1:] if found else (How.NO_IMPORT, "")))


def played(copy: Path, trials: list[Trial]) -> Iterator[tuple[Trial, How, str]]:
    """Run pytest for these trials, with the files that have their tests."""
    if not trials:
        return
    left = {trial.number: trial for trial in trials}
    with TemporaryDirectory(prefix="nightdesk-trials-") as folder:
        file = Path(folder) / "trials.json"
        write_trials(file, trials)
        process, verdicts = _pytest(copy, file, {test.partition("::")[0] for trial in trials for test in trial.tests})
        with verdicts:
            for number, how, by in map(json.loads, verdicts):
                yield left.pop(number), How[how], by
        status = process.wait()
    if left and not (status in _NOT_COLLECTED and not trials[0].warm):
        raise RuntimeError(f"pytest ended with {status}, and {len(left)} faults were not tried")


def _pytest(copy: Path, trials: Path, files: set[str]) -> tuple[subprocess.Popen[bytes], TextIO]:
    reading, writing = os.pipe()
    environment = {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(trials.parent),
        TRIALS: str(trials),
        VERDICTS: str(writing),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.warm", "--hypothesis-seed=0", *ARGUMENTS]
    process = subprocess.Popen(
        [*command, *sorted(files)],
        cwd=copy,
        env=os.environ | environment,
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
    )
    os.close(writing)
    return process, os.fdopen(reading)


def own_tests(root: Path, module: str) -> frozenset[str]:
    """The files of tests that import the module, or else its package."""
    dotted = "nightdesk." + module.removeprefix("nightdesk/").removesuffix(".py").replace("/", ".")
    return _importing(root, dotted) or _importing(root, dotted.rpartition(".")[0])


def _importing(root: Path, module: str) -> frozenset[str]:
    package, _, name = module.rpartition(".")
    imports = re.compile(rf"^from {package}\.{name} |^from {package} import [^\n]*\b{name}\b", re.MULTILINE)
    files = (root / "tests").rglob("test_*.py")
    return frozenset(str(file.relative_to(root)) for file in files if imports.search(file.read_text()))
