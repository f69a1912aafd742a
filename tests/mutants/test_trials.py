"""Each way in which a fault shows itself has a verdict of its own. What shows nothing, and what fails also without the
fault, is not found.
"""

from pathlib import Path

import pytest

from tests.mutants.faults import Fault, faults
from tests.mutants.places import ROOT
from tests.mutants.trial import played, tried_in_its_file
from tests.mutants.warm import How, Trial

MODULE = "small.py"
PROGRAM = """
import os
LIMIT = 7
assert LIMIT == 7
BOUND = 5
def under(number): return number < LIMIT
def bound(): return BOUND
def count_down(left):
    while left > 0:
        left -= 1
def live(dies):
    if dies:
        os.abort()
def nobody_looks(): return 1
"""
TESTS = """
import small
def test_under():
    assert not small.under(7)
def test_bound():
    assert small.bound() == 5
def test_the_end():
    small.count_down(3)
def test_life():
    small.live(False)
def test_of_nothing():
    small.nobody_looks()
def test_that_always_fails():
    small.nobody_looks()
    assert False
"""
OPTIONS = """
def pytest_addoption(parser):
    parser.addoption("--without-broker", action="store_true")
    parser.addoption("--few-examples", action="store_true")
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A program of one module with its tests, and the plugin that tries faults."""
    (tmp_path / MODULE).write_text(PROGRAM)
    (tmp_path / "conftest.py").write_text(OPTIONS)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_small.py").write_text(TESTS)
    for name in ("mutants", "effort.py"):
        (tmp_path / "tests" / name).symlink_to(ROOT / "tests" / name)
    return tmp_path


def test_each_way_to_notice_a_fault_has_its_verdict(copy: Path) -> None:
    trials = [
        _trial(0, "number < LIMIT", " <= ", "test_bound", "test_under"),
        _trial(1, "left -= 1", "pass", "test_the_end"),
        _trial(2, "if dies", "(not (dies))", "test_life"),
        _trial(3, "nobody_looks(): return 1", "2", "test_of_nothing", "test_that_always_fails"),
        _trial(4, "LIMIT = 7", "8", "test_under"),
    ]
    found = {trial.number: (how, by.rpartition("::")[2]) for trial, how, by in played(copy, trials)}
    assert found[0] == (How.FAILED, "test_under")
    assert found[1] == (How.LOOPED, "test_the_end")
    assert found[2] == (How.CRASHED, "test_life")
    assert found[3] == (How.SURVIVED, "")
    assert found[4][0] is How.NOT_SWAPPABLE


def test_what_is_executed_when_it_is_imported_is_tried_in_its_file(copy: Path) -> None:
    constant = tried_in_its_file(copy, _trial(0, "BOUND = 5", "6", "test_under", "test_bound"))
    assert (constant.how, constant.by.rpartition("::")[2]) == (How.FAILED, "test_bound")
    assert tried_in_its_file(copy, _trial(0, "assert LIMIT == 7", " != ", "test_under")).how is How.NO_IMPORT
    assert (copy / MODULE).read_text() == PROGRAM


def test_a_run_that_is_no_trial_has_no_verdict(copy: Path) -> None:
    """Neither a wrong option nor a broken test file is a fault that was found."""
    (copy / "tests" / "test_small.py").write_text("import what_is_not_there")
    with pytest.raises(RuntimeError, match="1 faults were not tried"):
        list(played(copy, [_trial(0, "number < LIMIT", " <= ", "test_under")]))
    (copy / "conftest.py").write_text("")
    with pytest.raises(RuntimeError, match="pytest ended with 4"):
        list(played(copy, [_trial(0, "number < LIMIT", " <= ", "test_under")]))


def _trial(number: int, line: str, text: str, *tests: str) -> Trial:
    seconds = {f"tests/test_small.py::{test}": 0.0 for test in tests}
    return Trial(number, MODULE, _fault(line, text), seconds)


def _fault(line: str, text: str) -> Fault:
    lines = PROGRAM.splitlines()
    of_the_line = (fault for fault in faults(PROGRAM) if line in lines[fault.line - 1])
    return next(fault for fault in of_the_line if fault.text.strip() == text.strip())
