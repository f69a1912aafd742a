"""Bounds of the values that an expression reads and computes. `expression_costs` derives its cost from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nightdesk.processors.sizes import size_of


@dataclass(frozen=True, slots=True)
class Value:
    """Bounds of the value of a part of an expression: its size, its elements, and the size of the largest element.

    `known` has the values that it can have if they are in the data, one for each iteration of a loop.
    """

    size: int
    length: int
    item: int
    known: tuple[Any, ...] | None = None

    @classmethod
    def within(cls, size: int) -> "Value":
        """Any value of at most this size."""
        return cls(size, size, size)


class Sizes:
    """Measures values of the data. What was measured is kept, because the same parts are measured repeatedly."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}

    def bounds(self, known: tuple[Any, ...]) -> Value:
        """The bounds of a value that is one of these."""
        collections = [one for one in known if isinstance(one, dict | list)]
        texts = max((size_of(one) for one in known if isinstance(one, str)), default=1)
        size = max(map(self._size, collections), default=1)
        item = max(map(self._size, elements(tuple(collections))), default=1)
        length = max(map(len, collections), default=0)
        return Value(max(size, texts), max(length, 1), item, known)

    def _size(self, value: Any) -> int:
        if not isinstance(value, dict | list):
            return size_of(value)
        size = self._sizes.get(id(value))
        if size is None:
            size = self._sizes[id(value)] = size_of(value)
        return size


def elements(known: tuple[Any, ...]) -> Iterator[Any]:
    """The values that a macro or an index finds in each of the values."""
    for one in known:
        if isinstance(one, dict):
            yield from one
            yield from one.values()
        elif isinstance(one, list):
            yield from one
