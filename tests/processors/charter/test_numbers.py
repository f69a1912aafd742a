"""A number in a charter that cannot be represented is a problem with a line: no traceback, and no other number."""

import re
from contextlib import suppress
from pathlib import Path

import pytest

from nightdesk.processors.charter import compile_charter, parse_charter
from nightdesk.processors.charter.parsing import named_files
from nightdesk.processors.charter.problems import CharterInvalid
from tests.effort import some

ROOT = Path(__file__).parents[3] / "charters"
HUGE = ("9" * 5000, "-" + "9" * 5000, str(2**64), "1e400", "1e30")
# Digits of a value: followed by what ends one, also in a duration or a rate.
NUMBER = re.compile(r"(?<![\w.])\d+(\.\d+)?(?=[smhd,}\]\s/])")
CHARTERS = sorted(ROOT.rglob("charter.yaml"))


@pytest.mark.parametrize("path", CHARTERS, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("huge", HUGE, ids=lambda huge: huge[:6])
def test_no_number_is_a_traceback(path: Path, huge: str) -> None:
    text = path.read_text()
    files = {name: (path.parent / name).read_text() for name in named_files(text)}
    found = list(NUMBER.finditer(text))
    assert found
    for number in some(found):
        with suppress(CharterInvalid):
            compile_charter(parse_charter(text[: number.start()] + huge + text[number.end() :], files))


@pytest.mark.parametrize("line", ['agent: "\\ud800"', '"\\udfff": 1', 'description: "x\\ud800"'])
def test_half_a_surrogate_is_named_with_its_line(line: str) -> None:
    with pytest.raises(CharterInvalid) as caught:
        parse_charter(f"# a charter\n{line}\n", {})
    assert any(problem.line == 2 and "half a character" in problem.reason for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("9" * 5000, "more than 64 bits"),
        (str(2**64), "64 bits"),
        ("1e400", "larger"),
        ("9007199254740993.0", "changes when it is read"),
    ],
)
def test_it_is_named_with_its_line(number: str, says: str) -> None:
    with pytest.raises(CharterInvalid) as raised:
        parse_charter(f"agent: desk\nbudget: {{per_day_usd: {number}}}\n", {})
    assert any(says in problem.reason and problem.line == 2 for problem in raised.value.problems)
