"""The tests that templates may use (`is defined`), and what one costs."""

from typing import Any

from nightdesk.processors.template_charges import charge, charge_search, deep
from nightdesk.processors.template_numbers import check_is_number

# Each reads its arguments once; `in` is charged as a search.
_TESTS = (
    "!= < <= == > >= boolean callable defined divisibleby eq equalto escaped even false filter float ge greaterthan gt"
    " in integer iterable le lessthan lower lt mapping ne none number odd sameas sequence string test true undefined"
    " upper"
)
TESTS = frozenset(_TESTS.split())
_OF_NUMBERS = frozenset({"divisibleby", "even", "odd"})


def charge_test(name: str, *given: Any) -> None:
    """Charges one test."""
    charge(1 + sum(map(deep, given)))
    if name in _OF_NUMBERS:
        for value in given:
            check_is_number(value)
    if name == "in" and len(given) > 1:
        charge_search(given[1], given[0])
