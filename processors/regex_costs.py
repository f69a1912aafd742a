"""Bounds the cost of compiling and matching a regular expression of a charter, from its text.

The CEL library compiles the pattern of `matches` at each call, and takes seconds for a pattern that repeats large
classes. The numbers are tenths of a microsecond, measured with the library and rounded up.
"""

import re
from dataclasses import dataclass

_BASE = 200
_CHARACTER = 2
_SIMPLE_CLASS = 100
_SMALL_CLASS = 600  # \d and \s in Unicode
_LARGE_CLASS = 4_000  # \w, \p{…} and every negated class
_CASELESS = 4
# Patterns with few states match at a steady rate; a larger one may need all its states for each character.
FEW_STATES = 16
_PER_STATE = 8
_UNBOUNDED = re.compile(r"[*+|]|\{\s*\d*\s*,\s*\}")
_DIGITS_AT_MOST = 9
# The most that compiling one pattern may cost.
MAX_PATTERN_COST = 200_000

_ATOM = re.compile(
    r"""(?P<group>\((?:\?(?:P?<\w+>|[a-zA-Z-]*:|[a-zA-Z-]+(?=\))|P?=|!|<[=!]))?)
    |(?P<close>\))
    |(?P<repeat>\{\s*(?P<least>\d*)\s*(?P<comma>,?)\s*(?P<most>\d*)\s*\}[?+]?|[*+?])
    |(?P<large>\\[wWDSX]|\\[pP](?:\{[^}]*\}|.))
    |(?P<small>\\[ds])
    |(?P<set>\[\^?\]?(?:\[:?[^\]]*:?\]|\\.|[^\]\\])*\])
    |(?P<dot>\.)
    |(?P<plain>\\.|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class PatternCost:
    """`compile` is in tenths of a microsecond; `states` is the number of characters and classes."""

    compile: int
    states: int

    def add(self, other: "PatternCost") -> None:
        self.compile += other.compile
        self.states += other.states


def pattern_cost(pattern: str) -> PatternCost:
    """An upper bound, with every repetition expanded."""
    groups, last = [PatternCost(_BASE, 1)], PatternCost(0, 0)
    for atom in _ATOM.finditer(pattern):
        if atom.lastgroup == "repeat" or atom["repeat"]:
            times = _times(atom)
            groups[-1].add(PatternCost(last.compile * (times - 1), last.states * (times - 1)))
            last = PatternCost(last.compile * times, last.states * times)
            continue
        if atom["group"]:
            groups.append(PatternCost(0, 0))
            continue
        if atom[0].isspace():  # with (?x) it matches nothing, and a repetition applies to what is before it
            groups[-1].add(_cost_of(atom))
            continue
        last = groups.pop() if atom["close"] and len(groups) > 1 else _cost_of(atom)
        groups[-1].add(last)
    while len(groups) > 1:
        groups[-2].add(groups.pop())
    found = groups[0]
    return PatternCost(found.compile * _CASELESS, found.states) if re.search(r"\(\?[a-z]*i", pattern) else found


def match_cost(pattern: str) -> int:
    """The cost of matching for each element of the text (`sizes.py`), beyond reading it."""
    states = pattern_cost(pattern).states
    # An anchored pattern without unbounded repetition reads no more characters than it has states.
    looks_at_all = not pattern.startswith("^") or _UNBOUNDED.search(pattern) is not None
    return states * _PER_STATE if states > FEW_STATES and looks_at_all else 0


def _times(atom: "re.Match[str]") -> int:
    # More digits than this exceed any bound anyway.
    least, most = int((atom["least"] or "0")[:_DIGITS_AT_MOST]), int((atom["most"] or "0")[:_DIGITS_AT_MOST])
    return max(least + (1 if atom["comma"] and not atom["most"] else 0), most, 1)


def _cost_of(atom: "re.Match[str]") -> PatternCost:
    if atom["large"]:
        return PatternCost(_LARGE_CLASS, 1)
    if atom["small"]:
        return PatternCost(_SMALL_CLASS, 1)
    if atom["set"]:
        text = atom["set"]
        inside = len(re.findall(r"\\[wWDSpP]", text)) * _LARGE_CLASS + len(re.findall(r"\\[ds]", text)) * _SMALL_CLASS
        return PatternCost(_SIMPLE_CLASS + len(text) * 10 + 2 * inside, 1)
    return PatternCost(_SIMPLE_CLASS if atom["dot"] else _CHARACTER, 1)
