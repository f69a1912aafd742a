"""The cost of validating data against a JSON Schema, by depth in the data, and how such costs are combined. Pure.

Costs are in hundredths of a microsecond. `schema_costs.py` computes them from a schema.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from nightdesk.processors.sizes import Sizes

MAX_SCHEMA_COST = 10_000_000

Levels = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SchemaCosts:
    """The costs by depth in the data: `levels` is the cost of a value, `texts` the cost of each further portion of its
    text (`sizes.py`), `mistakes` how many mistakes may be found in it. `everywhere` is added for every value. In a
    recursive schema the last level stands for all deeper ones. `compares_numbers`: large numbers cost more
    (`multipleOf`).
    """

    levels: Levels = (0,)
    texts: Levels = (0,)
    mistakes: Levels = (0,)
    everywhere: int = 0
    expanded: int = 1
    is_recursive: bool = False
    compares_numbers: bool = False

    @property
    def most_per_element(self) -> int:
        """The cost of the most expensive element."""
        return max(*self.levels, *self.texts) + self.everywhere

    @property
    def safe_size(self) -> int:
        """The number of elements up to which any data can be validated."""
        return MAX_SCHEMA_COST // max(1, self.most_per_element)

    def cost(self, sizes: Sequence[Sizes]) -> int:
        """The cost of data with these sizes at each depth."""
        levels = zip(self._at_each(self.levels, len(sizes)), self._at_each(self.texts, len(sizes)), sizes, strict=True)
        size = sum(at.values + at.texts for at in sizes)
        return self.everywhere * size + sum(at.values * value + at.texts * text for value, text, at in levels)

    def _at_each(self, levels: Levels, depth: int) -> Levels:
        last = levels[-1] if self.is_recursive else 0
        return (*levels[:depth], *[last] * (depth - len(levels)))

    def mistakes_cost(self, sizes: Sequence[Sizes]) -> int:
        """The cost of reporting all possible mistakes. Each takes 20 microseconds and a copy of the value."""
        size = sum(at.values + at.texts for at in sizes)
        found = zip(self.mistakes, sizes, strict=False)
        return sum(mistakes * (2_000 * at.values + 20 * size) for mistakes, at in found)


def shifted(costs: SchemaCosts) -> SchemaCosts:
    """The same costs, one level deeper in the data."""
    return replace(costs, levels=(0, *costs.levels), texts=(0, *costs.texts), mistakes=(0, *costs.mistakes))


def together(one: SchemaCosts, other: SchemaCosts) -> SchemaCosts:
    """The costs of two schemas that both validate the same value."""
    return SchemaCosts(
        levels=_each(sum, one.levels, other.levels),
        texts=_each(sum, one.texts, other.texts),
        mistakes=_each(sum, one.mistakes, other.mistakes),
        everywhere=one.everywhere + other.everywhere,
        expanded=one.expanded + other.expanded,
        compares_numbers=one.compares_numbers or other.compares_numbers,
    )


def _each(combine: Callable[[tuple[int, ...]], int], one: Levels, other: Levels) -> Levels:
    return tuple(map(combine, zip_longest(one, other, fillvalue=0)))


def largest(all_costs: Iterable[SchemaCosts]) -> SchemaCosts:
    """The largest costs of several schemas, one of which validates the value."""
    found = SchemaCosts(expanded=0)
    for costs in all_costs:
        found = SchemaCosts(
            levels=_each(max, found.levels, costs.levels),
            texts=_each(max, found.texts, costs.texts),
            mistakes=_each(max, found.mistakes, costs.mistakes),
            everywhere=max(found.everywhere, costs.everywhere),
            expanded=found.expanded + costs.expanded,
            compares_numbers=found.compares_numbers or costs.compares_numbers,
        )
    return found
