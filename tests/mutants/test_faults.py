"""Each fault changes what the module does, and leaves a valid module."""

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import PACKAGES, drawn, score
from tests.mutants.faults import Fault, faults
from tests.mutants.trial import ROOT, Reach, Verdict, copy_of_the_repository, near, own, rounds_of
from tests.test_architecture import MAY_IMPORT


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"x = a <= b"}),
        ("x = (a) == (b + c)", {"x = (a) != (b + c)", "x = (a) == (b - c)"}),
        ("x = a and b or c", {"x = a or b or c", "x = a and b and c"}),
        ("if a:\n    f()", {"if (not (a)):\n    f()", "if a:\n    pass"}),
        ("x = not ü", {"x = (ü)"}),
        ("x = ['ü', 1]", {"x = ['ü', 2]"}),
        ("def f() -> 'int < 2':\n    return x", {"def f() -> 'int < 2':\n    return None"}),
        ("def f():\n    raise E(1 < 2)", {"def f():\n    pass"}),
        ("log.info(1)", {"log.info(2)"}),
        ("x += 1", {"pass", "x += 2"}),
    ],
)
def test_each_place_has_its_fault(source: str, expected: set[str]) -> None:
    assert {fault.put_into(source) for fault in faults(source)} == expected


def test_every_fault_of_the_program_leaves_a_module_that_is_another_one() -> None:
    for file in sorted((ROOT / "processors" / "ledger").rglob("*.py")):
        source = file.read_text()
        sound = ast.dump(ast.parse(source))
        for fault in faults(source):
            assert ast.dump(ast.parse(fault.put_into(source))) != sound, (file, fault)


def test_the_same_seed_draws_the_same() -> None:
    assert drawn(("streams/stages",), 9, 1) == drawn(("streams/stages",), 9, 1) != drawn(("streams/stages",), 9, 2)


def test_the_tests_near_a_module_mirror_its_room() -> None:
    assert near(ROOT, "streams/stages/budget.py") == str(Path("tests/streams/stages"))
    assert near(ROOT, "processors/gate.py") == str(Path("tests/processors"))


def test_the_tests_of_a_module_import_it_and_those_with_its_name_come_first() -> None:
    first, *others = own(ROOT, "processors/breaker.py")
    assert first == str(Path("tests/processors/test_breaker.py"))
    assert str(Path("tests/streams/stages/test_circuits.py")) in others
    assert str(Path("tests/sinks/test_sink.py")) not in others


def test_a_fault_in_a_package_is_seen_by_whoever_imports_it_in_the_copy() -> None:
    """`nightdesk/` refers to the packages beside it: in the copy, to those of the copy."""
    with copy_of_the_repository() as copy:
        (copy / "processors" / "gate.py").write_text("")
        assert (copy / "nightdesk" / "processors" / "gate.py").read_text() == ""


def test_the_score_is_by_package() -> None:
    fault = Fault(1, "constant", 0, 1, "2")
    verdicts = [Verdict(f"{package}/x.py", fault, package != "effects", "t") for package in PACKAGES]
    lines = score(verdicts).splitlines()
    assert "effects             0 of    1  0 %" in lines
    assert lines[-1].split() == ["all", "8", "of", "9", "88", "%"]


def test_no_package_of_the_program_is_left_out() -> None:
    assert set(PACKAGES) == set(MAY_IMPORT)


def test_how_far_the_tests_reach() -> None:
    own_tests, near_tests = own(ROOT, "sinks/costs.py"), (str(Path("tests/sinks")),)
    assert rounds_of(ROOT, "sinks/costs.py", Reach.OWN) == (own_tests,)
    assert rounds_of(ROOT, "sinks/costs.py", Reach.NEAR) == (own_tests, near_tests)
    assert rounds_of(ROOT, "sinks/costs.py", Reach.ALL) == (own_tests, near_tests, ("tests",))
