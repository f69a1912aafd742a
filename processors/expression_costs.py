"""Computes an upper bound of the cost of an expression, from its tree and the sizes of the data, before it runs.

The CEL library has no limit, and an evaluation cannot be interrupted. These make it expensive: a macro evaluates its
body for each element, reading a name copies its value, `map` and `filter` copy their result at each element, and
`matches` compiles its pattern at each call.

A cost is in tenths of a microsecond, about the time to copy one element (`sizes.py`).
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from nightdesk.processors import cel_syntax
from nightdesk.processors.cel_syntax import (
    Call,
    Collection,
    Index,
    Literal,
    Loop,
    Name,
    Node,
    Operation,
    Select,
    SyntaxNotSupported,
)
from nightdesk.processors.expression_bounds import Sizes, Value, elements
from nightdesk.processors.regex_costs import MAX_PATTERN_COST, match_cost, pattern_cost
from nightdesk.processors.sizes import CHARACTERS_PER_ELEMENT

MAX_COST = 1_000_000
# How many elements a member of a name has at most, where that is known before there is any data.
Lengths = Mapping[tuple[str, str], int]
NOT_KNOWN: Lengths = MappingProxyType({})
# A value that is read is copied, perhaps compared, and freed.
_PER_READ = 3
# The setup for the library, once for each expression.
_PER_CONVERSION = 8
_PER_STEP = 5
_PER_CALL_TO_PYTHON = 20
_PER_PYTHON_UNIT = 4
_PYTHON_FUNCTIONS = frozenset({"lower", "mentions"})


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of a name. `one_pass` is the size of all its values in one full iteration of the loop that binds it."""

    value: Value
    one_pass: int


@dataclass(frozen=True, slots=True)
class Place:
    """How often a part is evaluated: `times` in total, in `passes` of the innermost loop, which binds `variable`."""

    times: int = 1
    passes: int = 1
    variable: str | None = None


class Estimate:
    """One estimate. `names` are the values that the expression can read. `cost` is complete when `add` returns."""

    def __init__(self, names: Mapping[str, Value], measured: Sizes, lengths: Lengths = NOT_KNOWN) -> None:
        self._measured = measured
        self._lengths = lengths
        self._names = {name: Variable(value, value.size) for name, value in names.items()}
        self.cost = _PER_CONVERSION * sum(value.size for value in names.values())

    def add(self, node: Node, place: Place = Place()) -> Value:
        """Add the cost of the node. Returns the bounds of its value."""
        match node:
            case Literal():
                return self._made(Value.within(1 + len(node.source) // CHARACTERS_PER_ELEMENT), place)
            case Name():
                return self._read(node.name, place)
            case Select():
                return self._no_longer(node, self._member(self.add(node.operand, place), node.member, place))
            case Index():
                index = self.add(node.index, place)
                return self._element(self.add(node.operand, place), index, place)
            case Call():
                return self._call(node, place)
            case Operation():
                values = [self.add(operand, place) for operand in node.operands]
                return self._operation(values, place, adds=node.adds)
            case Collection():
                values = [self.add(item, place) for item in node.items]
                size = 1 + sum(value.size for value in values)
                return self._made(Value(size, len(values), max((value.size for value in values), default=1)), place)
            case Loop():
                return self._loop(node, place)

    def _made(self, value: Value, place: Place) -> Value:
        self.cost += place.times * _PER_READ * value.size
        return value

    def _read(self, name: str, place: Place) -> Value:
        variable = self._names.get(name) or Variable(Value.within(1), 1)
        innermost = name == place.variable
        self.cost += _PER_READ * (place.passes * variable.one_pass if innermost else place.times * variable.value.size)
        return variable.value

    def _member(self, value: Value, member: str, place: Place) -> Value:
        self.cost += place.times
        if value.known is None:
            return Value.within(value.item)
        found = tuple(one[member] for one in value.known if isinstance(one, dict) and member in one)
        return self._measured.bounds(found)

    def _no_longer(self, node: Select, value: Value) -> Value:
        if not isinstance(node.operand, Name):
            return value
        length = self._lengths.get((node.operand.name, node.member), value.length)
        return replace(value, length=min(value.length, length))

    def _element(self, value: Value, index: Value, place: Place) -> Value:
        self.cost += place.times * (1 + index.size)
        return Value.within(value.item) if value.known is None else self._measured.bounds(tuple(elements(value.known)))

    def _operation(self, values: list[Value], place: Place, *, adds: bool) -> Value:
        self.cost += place.times * len(values)
        if not adds:
            return Value.within(1)
        size = sum(value.size for value in values)
        self.cost += place.times * size * len(values)
        return Value(size, sum(value.length for value in values), max(value.item for value in values))

    def _call(self, call: Call, place: Place) -> Value:
        values = [self.add(argument, place) for argument in call.arguments]
        size = sum(value.size for value in values)
        if call.function == "matches":
            self._match(call, values, place)
            return Value.within(1)
        if call.function in _PYTHON_FUNCTIONS:
            phrases = values[-1].length if call.function == "mentions" else 1
            self.cost += place.times * (_PER_CALL_TO_PYTHON + _PER_PYTHON_UNIT * size * (1 + phrases))
        elif call.function in ("has", "size", "contains", "startsWith", "endsWith"):
            self.cost += place.times
            return Value.within(1)
        return self._made(Value.within(1 + 3 * size), place)

    def _match(self, call: Call, values: list[Value], place: Place) -> None:
        pattern = _pattern(call)
        self.cost += place.times * (pattern_cost(pattern).compile + values[0].size * match_cost(pattern))

    def _loop(self, loop: Loop, place: Place) -> Value:
        receiver = self.add(loop.receiver, place)
        element = Value.within(receiver.item)
        if receiver.known is not None:
            element = self._measured.bounds(tuple(elements(receiver.known)))
        inner = Place(place.times * receiver.length, place.times, loop.variable)
        self.cost += inner.times * _PER_STEP
        hidden = self._names.get(loop.variable)
        self._names[loop.variable] = Variable(element, receiver.size)
        values = [self.add(body, inner) for body in loop.bodies]
        if hidden is None:
            del self._names[loop.variable]
        else:
            self._names[loop.variable] = hidden
        if loop.macro not in ("map", "filter"):
            return Value.within(1)
        kept = values[-1].size if loop.macro == "map" else receiver.item
        # The result so far is copied for each element.
        self.cost += inner.times * receiver.length * (1 + kept)
        return Value(1 + receiver.length * kept, receiver.length, kept)


def check(node: Node) -> None:
    """Raises `SyntaxNotSupported` for a cost that cannot be bounded: a pattern from the data, or a
    too large pattern.
    """
    for part in cel_syntax.walk(node):
        if isinstance(part, Call) and part.function == "matches":
            pattern = _pattern(part)
            if pattern_cost(pattern).compile > MAX_PATTERN_COST:
                raise SyntaxNotSupported(f"the pattern {pattern!r} is too large: repeat smaller classes less often")


def _pattern(call: Call) -> str:
    pattern = call.arguments[-1] if call.arguments else None
    if not isinstance(pattern, Literal) or pattern.source[-1] not in "\"'":
        raise SyntaxNotSupported("the pattern of matches has to be a literal: one from the data has no bounded cost")
    try:
        # The escapes of CEL are those of Python and these two.
        text = ast.literal_eval(re.sub(r"(?<!\\)((?:\\\\)*)\\([?`])", r"\1\2", pattern.source))
    except (SyntaxError, ValueError) as error:
        raise SyntaxNotSupported(f"the pattern of matches is not a string: {error}") from None
    if not isinstance(text, str):
        raise SyntaxNotSupported("the pattern of matches has to be a string, not bytes")
    return text


def worst_cost(node: Node, names: frozenset[str], size: int, lengths: Lengths = NOT_KNOWN) -> int:
    """The most that the expression costs if all that it reads has this size."""
    estimate = Estimate({name: Value.within(size) for name in names}, Sizes(), lengths)
    estimate.add(node)
    return estimate.cost


def safe_size(node: Node, names: frozenset[str], lengths: Lengths = NOT_KNOWN) -> int:
    """The largest size of the data for which the expression always costs at most MAX_COST."""
    low, high = 0, MAX_COST
    while low < high:
        middle = (low + high + 1) // 2
        if worst_cost(node, names, middle, lengths) <= MAX_COST:
            low = middle
        else:
            high = middle - 1
    return low


def cost(node: Node, values: Mapping[str, Any]) -> int:
    """The most that the expression costs with this data."""
    measured = Sizes()
    estimate = Estimate({name: measured.bounds((value,)) for name, value in values.items()}, measured)
    estimate.add(node)
    return estimate.cost
