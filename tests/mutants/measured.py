"""Which lines of the program each test executes, and how long it takes: a fault is tried with the tests that can see
it, and with no others.

As a pytest plugin (`-p tests.mutants.measured`) it measures this with coverage.py. What is executed while modules are
imported belongs to no test and is kept under an empty name.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.mutants.places import PACKAGES, ROOT

# Where the plugin writes what it measures; the lines of each test are beside it.
RESULT = "NIGHTDESK_MUTANTS_MEASURED"
ARGUMENTS = ("--without-broker", "--few-examples", "--numprocesses=0", "-p", "no:cacheprovider")
_LINES = ".lines"
_IMPORTED = ""


class Measured:
    """What was measured: the tests, their duration and their lines."""

    def __init__(self, result: Path) -> None:
        import coverage  # where nothing is measured it need not be installed

        kept = json.loads(result.read_text())
        self.failed: list[str] = kept["failed"]
        self.cpu_s: dict[str, float] = kept["cpu_s"]
        self._lines = coverage.CoverageData(str(result.with_suffix(_LINES)))
        self._lines.read()

    def executed(self, module: str, lines: Iterable[int]) -> set[str]:
        """The tests that execute one of these lines."""
        by_line = self._by_line(module)
        return {test for line in lines for test in by_line.get(line, ())} - {_IMPORTED}

    def imported(self, module: str, lines: Iterable[int]) -> bool:
        """Whether one of these lines is executed before any test is."""
        by_line = self._by_line(module)
        return any(_IMPORTED in by_line.get(line, ()) for line in lines)

    def uses(self, module: str) -> set[str]:
        """The tests that execute anything of the module."""
        return self.executed(module, self._by_line(module))

    def _by_line(self, module: str) -> dict[int, list[str]]:
        by_line: dict[int, list[str]] = self._lines.contexts_by_lineno(str(ROOT / module))
        return by_line


def measure(result: Path, *tests: str) -> Measured:
    """Run the tests without a fault and measure them."""
    result.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.measured", *ARGUMENTS, *tests]
    environment = os.environ | {RESULT: str(result), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=sys.stderr)
    return Measured(result)


class _Measuring:
    def __init__(self, result: Path) -> None:
        import coverage

        self._result = result
        self._cpu_s: dict[str, float] = {}
        self._failed: list[str] = []
        includes = [str(ROOT / package / "*") for package in PACKAGES]
        lines = result.with_suffix(_LINES)
        lines.unlink(missing_ok=True)
        self._coverage = coverage.Coverage(data_file=str(lines), config_file=False, include=includes)
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        before = time.process_time()
        self._coverage.switch_context(item.nodeid)
        outcome = yield
        self._coverage.switch_context(_IMPORTED)
        self._cpu_s[item.nodeid] = round(time.process_time() - before, 3)
        return outcome

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        self._coverage.save()
        self._result.write_text(json.dumps({"failed": self._failed, "cpu_s": self._cpu_s}))


def pytest_configure(config: pytest.Config) -> None:
    if result := os.environ.get(RESULT):
        config.pluginmanager.register(_Measuring(Path(result)))
