"""CEL expressions: compiled once with their names checked, evaluated in a scope.

The charter's fields check every expression when a charter is read; `charter/compiled.py` compiles them for routing,
fallback rules and verification.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import cel

from processors.scopes import FUNCTIONS, WHOLE, Reads, Scope

# What the Rust library brings, apart from operators. `has`, `all`, `exists`, … are macros and never show as functions.
_KNOWN_FUNCTIONS = frozenset(FUNCTIONS) | {
    "size", "contains", "startsWith", "endsWith", "matches",
    "int", "uint", "double", "string", "bytes", "type", "dyn", "timestamp", "duration",
    "getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek",
    "getHours", "getMinutes", "getSeconds", "getMilliseconds",
}  # fmt: skip
_BOUND_BY_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
# All that the library raises when an expression meets data that it was not written for.
_EVALUATION_ERRORS = (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError)


class ExpressionInvalid(ValueError):
    """The text is not an expression, or names something that is not there."""


class ExpressionFailed(Exception):
    """The expression is right, but not for this data: a missing key, a wrong type."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    source: str
    program: cel.Program
    reads: Reads

    def test(self, scope: Scope) -> bool:
        """Whether it holds. Raises ExpressionFailed when it cannot be said, also for a result that is no boolean."""
        try:
            result = self.program.execute(scope.context(self.reads))
        except _EVALUATION_ERRORS as error:
            raise ExpressionFailed(_explain(error)) from None
        if not isinstance(result, bool):
            raise ExpressionFailed(f"gives {type(result).__name__} and not true or false")
        return result


def _explain(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error.args[0]!r} in the data: ask with has(…) first"
    return str(error).splitlines()[0]


def compile_expression(source: str, names: frozenset[str]) -> Expression:
    """Compile `source`, which may refer to `names`. Raises ExpressionInvalid with a reason in one line."""
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise ExpressionInvalid(_syntax_error(str(error))) from None
    bound = set(_BOUND_BY_MACRO.findall(source))
    unknown = sorted(set(program.variables()) - names - bound)
    if unknown:
        raise ExpressionInvalid(f"unknown name {unknown[0]!r} in expression; known here: {', '.join(sorted(names))}")
    for function in sorted(program.functions()):
        if function.isidentifier() and not function.startswith("_") and function not in _KNOWN_FUNCTIONS:
            raise ExpressionInvalid(f"unknown function {function!r} in expression")
    return Expression(source, program, _reads(source, names & set(program.variables())))


def _reads(source: str, names: Iterable[str]) -> Reads:
    """What `source` can read of the names, as its text says: the whole wherever it does not name a member."""
    found: set[tuple[str, str]] = set()
    for name in names:
        # What a name of a function follows is read whole: `event.exists(…)`.
        members = re.findall(rf"\b{name}\b(?:\s*\.\s*([A-Za-z_]\w*)\b(?!\s*\())?", source)
        found |= {(name, WHOLE)} if WHOLE in members else {(name, member) for member in members}
    return frozenset(found)


def _syntax_error(message: str) -> str:
    """The library's message spans lines and repeats the expression; its heart is behind `ERROR: <input>:1:5:`."""
    found = re.search(r"ERROR: <input>:(\d+):(\d+): (.*)", message)
    if found is None:
        return f"not an expression: {message.splitlines()[0]}"
    reason = re.sub(r" expecting \{.*", "", found[3]).removeprefix("Syntax error: ")
    return f"not an expression: {reason} (at character {found[2]})"
