"""The size of a JSON value, counted in elements: the cost of copying a string, an array or an object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# This many characters of a string count as one element.
CHARACTERS_PER_ELEMENT = 16
# Larger values are not measured completely, and no expression or template is evaluated with them.
MAX_SIZE = 120_000
_LARGE_NUMBER = 2.0**64
_ELEMENTS_OF_LARGE_NUMBER = 9


def size_of(value: Any, limit: int = MAX_SIZE) -> int:
    """The number of elements, keys and string portions in a JSON value."""
    if isinstance(value, str):
        return 1 + len(value) // CHARACTERS_PER_ELEMENT
    # First `dict`, because the check for an abstract class takes several times as long.
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101
        size = 1 + len(value)
        for key in value:
            size += len(key) // CHARACTERS_PER_ELEMENT
        value = value.values()
    elif isinstance(value, list | tuple):
        size = 1
    else:
        return 1
    for item in value:
        # Most are plain, and this avoids a call.
        if isinstance(item, str):
            size += 1 + len(item) // CHARACTERS_PER_ELEMENT
        else:
            size += size_of(item, limit - size) if isinstance(item, dict | list) else 1
        if size > limit:
            break
    return size


@dataclass(slots=True)
class Sizes:
    """The number of `values` and keys, and of further portions of `texts`."""

    values: int = 0
    texts: int = 0


def sizes_by_depth(value: Any) -> list[Sizes]:
    """The elements of a JSON value at each depth; a key counts where its value stands. A number of more than 64 bits
    counts as many, since arithmetic with it takes long.
    """
    found, level, sizes = list[Sizes](), [value], Sizes()
    while level:
        below, next_sizes = list[Any](), Sizes()
        sizes.values += len(level)
        for item in level:
            if isinstance(item, str):
                sizes.texts += len(item) // CHARACTERS_PER_ELEMENT
            elif isinstance(item, Mapping):
                next_sizes.values += len(item)
                next_sizes.texts += sum(len(key) // CHARACTERS_PER_ELEMENT for key in item)
                below.extend(item.values())
            elif isinstance(item, list | tuple):
                below.extend(item)
            elif isinstance(item, int | float) and not -_LARGE_NUMBER < item < _LARGE_NUMBER:
                sizes.values += _ELEMENTS_OF_LARGE_NUMBER
        found.append(sizes)
        level, sizes = below, next_sizes
    return found
