"""How much a test tries, and whether it tries the same each time.

`make test` draws the same examples every time, so that a change is judged by what it changed. `make test-fast` tries a
tenth of them. `make explore` draws others each time, and more of them; what it finds becomes a test of its own.

Only the drawn examples and worlds differ, and of a few long tables the number of cases (`some`). A test that checks one
thing is the same in all three.
"""

from collections.abc import Sequence
from typing import Literal, TypeVar

from hypothesis import settings

T = TypeVar("T")
Effort = Literal["all", "few", "explore"]

_FEWER, _MORE = 10, 5


def try_with(effort: Effort) -> None:
    """Use this effort from now on. Called before the tests are read, because their decorators ask for the number."""
    settings.load_profile(effort)


def examples(number: int) -> int:
    """How many of so many examples are tried."""
    profile = settings.get_current_profile_name()
    if profile == "few":
        return max(5, number // _FEWER)
    return number * _MORE if profile == "explore" else number


def some(cases: Sequence[T]) -> Sequence[T]:
    """All of these cases of one kind; with few examples every tenth of them, the first included."""
    return cases[::_FEWER] if settings.get_current_profile_name() == "few" else cases


# No test asserts a wall time, and hypothesis's deadline is one.
_USUAL = settings().max_examples
settings.register_profile("all", deadline=None, derandomize=True, database=None)
settings.register_profile("few", deadline=None, derandomize=True, database=None, max_examples=_USUAL // _FEWER)
settings.register_profile("explore", deadline=None, max_examples=_USUAL * _MORE, print_blob=True)
settings.load_profile("all")
