"""A pytest plugin (`-p tests.mutants.warm`) that tries faults: it collects the tests once, and forks a process for each
fault, which runs the tests of this fault until one fails.

A limit on CPU time ends what loops; pytest-timeout ends what waits. A test that fails also without the fault is no
witness: it is run again in a process without the fault.
"""

import json
import os
import resource
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import hypothesis
import pytest

from tests import effort
from tests.mutants.faults import Fault
from tests.mutants.swap import NotSwappable, imported_functions, swap

# The file with the trials, and the number of the file descriptor that gets the verdicts.
TRIALS, VERDICTS = "NIGHTDESK_MUTANTS_TRIALS", "NIGHTDESK_MUTANTS_VERDICTS"
# How much longer a test may take with a fault than without one. On a busy machine a sound test may take long.
_LEAST_CPU_S, _CPU_FACTOR = 10.0, 10.0
_LEAST_WALL_S, _WALL_FACTOR = 60.0, 40.0


class How(Enum):
    """How a fault was found, or why not."""

    FAILED = "a test failed"
    CRASHED = "the process crashed"
    LOOPED = "a test did not end"
    NO_IMPORT = "the tests cannot be imported"
    SURVIVED = "all tests passed"
    UNSEEN = "no test executes it"
    NOT_SWAPPABLE = "it is not in the body of a function"

    @property
    def is_found(self) -> bool:
        """Whether the fault was noticed."""
        return self in (How.FAILED, How.CRASHED, How.LOOPED, How.NO_IMPORT)


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault with the tests that may see it, and the CPU seconds that each of them takes without it. Without `warm`
    the fault is already in the file.
    """

    number: int
    module: str
    fault: Fault
    tests: dict[str, float]
    warm: bool = True


def write_trials(file: Path, trials: Sequence[Trial]) -> None:
    """Write the trials for the plugin."""
    file.write_text(json.dumps([asdict(trial) for trial in trials]))


def read_trials(file: Path) -> list[Trial]:
    """The trials that were written."""
    return [Trial(**(trial | {"fault": Fault(**trial["fault"])})) for trial in json.loads(file.read_text())]


class _Trials:
    def __init__(self, file: Path) -> None:
        self._trials = read_trials(file)
        self._failed: How | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed = How.LOOPED if "Timeout (>" in str(report.longrepr) else How.FAILED

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed:
            return None  # not all tests can be imported: pytest ends
        self._items = {item.nodeid: item for item in session.items}
        self._root = session.config.rootpath
        self._functions = imported_functions(self._root)
        with os.fdopen(int(os.environ[VERDICTS]), "w") as verdicts:
            for trial in self._trials:
                print(json.dumps([trial.number, *self._tried(trial)]), file=verdicts, flush=True)
        return True

    def _tried(self, trial: Trial) -> tuple[str, str]:
        tests = [test for test in trial.tests if test in self._items]
        while tests:
            how, by = _in_a_fork(partial(self._with_the_fault, trial, tests))
            if not how.is_found or not trial.warm or self._passes_without(trial, by):
                return how.name, by
            tests = tests[tests.index(by) + 1 :]
        return How.SURVIVED.name, ""

    def _passes_without(self, trial: Trial, test: str) -> bool:
        how, _ = _in_a_fork(partial(self._run, trial, [test]))
        return how is How.SURVIVED

    def _with_the_fault(self, trial: Trial, tests: list[str], told: "_Told") -> None:
        if trial.warm:
            try:
                swap(self._functions, self._root, trial.module, trial.fault)
            except NotSwappable as problem:
                told.tell(How.NOT_SWAPPABLE, str(problem))
                return
        self._run(trial, tests, told)

    def _run(self, trial: Trial, tests: list[str], told: "_Told") -> None:
        for test, following in zip(tests, [*tests[1:], ""], strict=True):
            told.tell(How.CRASHED, test)  # until it comes to its end
            item = self._items[test]
            _limit(item, trial.tests[test])
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=self._items.get(following))
            if self._failed:
                told.tell(self._failed, test)
                return
        told.tell(How.SURVIVED, "")


class _Told:
    """What a forked process tells of itself: the last counts."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def tell(self, how: How, by: str) -> None:
        print(how.name, by, file=self._file, flush=True)

    def last(self) -> tuple[How, str]:
        self._file.seek(0)
        name, _, by = self._file.read().splitlines()[-1].partition(" ")
        return How[name], by


def _in_a_fork(run: Callable[[_Told], None]) -> tuple[How, str]:
    """Run it in a process of its own, and end what this process has started."""
    with TemporaryFile("w+") as file:
        told = _Told(file)
        told.tell(How.CRASHED, "")
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            try:
                run(told)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        how, by = told.last()
        over = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
        return How.LOOPED if over else how, by


def _limit(item: pytest.Item, cpu_s: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s_at_most = used.ru_utime + used.ru_stime + _LEAST_CPU_S + _CPU_FACTOR * cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s_at_most) + 1, resource.RLIM_INFINITY))
    item.add_marker(pytest.mark.timeout(_LEAST_WALL_S + _WALL_FACTOR * cpu_s), append=False)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if file := os.environ.get(TRIALS):
        config.pluginmanager.register(_Trials(Path(file)))
        # That an example fails is enough; the smallest one is not looked for.
        effort.try_with("few")
        few = hypothesis.settings.get_profile("few")
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("few", parent=few, phases=phases)
        hypothesis.settings.load_profile("few")
