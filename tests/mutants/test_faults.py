"""Each fault changes what the module does, and leaves a valid module."""

import ast

import pytest

from tests.mutants.__main__ import score
from tests.mutants.equivalent import equivalents, line_of
from tests.mutants.faults import Fault, faults, lines_of_statement
from tests.mutants.places import PACKAGES, ROOT, drawn
from tests.mutants.trial import Verdict, copy_of_the_repository, own_tests
from tests.mutants.warm import How
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


def test_a_fault_is_seen_by_who_executes_its_statement() -> None:
    source = "def f():\n    if (a\n            and b):\n        return g(\n            1\n        )\n"
    of = {fault.kind: lines_of_statement(source, fault) for fault in faults(source)}
    assert of["and/or"] == of["condition"] == range(2, 4)
    assert of["constant"] == of["return"] == range(4, 7)


def test_the_tests_of_a_module_import_it() -> None:
    own = own_tests(ROOT, "processors/breaker.py")
    assert {"tests/processors/test_breaker.py", "tests/streams/stages/test_circuits.py"} <= own
    assert "tests/sinks/test_sink.py" not in own


def test_a_fault_in_a_package_is_seen_by_whoever_imports_it_in_the_copy() -> None:
    """`nightdesk/` refers to the packages beside it: in the copy, to those of the copy."""
    with copy_of_the_repository() as copy:
        (copy / "processors" / "gate.py").write_text("")
        assert (copy / "nightdesk" / "processors" / "gate.py").read_text() == ""


def test_the_score_is_by_package_and_says_how_faults_were_found() -> None:
    fault = Fault(1, "constant", 0, 1, "2")
    ways = dict(zip(PACKAGES, How, strict=False))
    lines = score([Verdict(f"{package}/x.py", fault, how) for package, how in ways.items()]).splitlines()
    assert lines[0].split() == ["schemas", "1", "of", "1", "100", "%"]
    assert lines[-2].split() == ["all", "4", "of", "7", "57", "%"]
    assert "a test failed: 1, the process crashed: 1, a test did not end: 1" in lines[-1]


def test_no_package_of_the_program_is_left_out() -> None:
    assert set(PACKAGES) == set(MAY_IMPORT)


def test_each_fault_that_is_known_to_change_nothing_is_still_there_and_has_a_reason() -> None:
    for one in equivalents():
        places = [(one.module, fault) for fault in faults((ROOT / one.module).read_text())]
        assert any(one.is_of(place) for place in places), one
        assert len(one.reason.split()) > 3, one


def test_a_fault_is_known_by_the_text_of_its_line() -> None:
    place = ("tests/mutants/warm.py", Fault(1, "constant", 0, 1, "2"))
    assert line_of(place).startswith('"""A pytest plugin')
