"""CEL expressions: compiled once with their names checked, evaluated in a scope.

The charter's fields check every expression when a charter is read; `charter/compiled.py` compiles them for routing,
fallback rules and verification.
"""

import re
from dataclasses import dataclass

import cel

from nightdesk.processors import cel_syntax, expression_costs
from nightdesk.processors.expression_costs import MAX_COST
from nightdesk.processors.scopes import FUNCTIONS, WHOLE, Reads, Scope
from nightdesk.processors.sizes import MAX_SIZE

# The functions of the Rust library, without operators. `has`, `all`, `exists`, … are macros and never appear as
# functions.
_KNOWN_FUNCTIONS = frozenset(FUNCTIONS) | {
    "size", "contains", "startsWith", "endsWith", "matches",
    "int", "uint", "double", "string", "bytes", "type", "dyn", "timestamp", "duration",
    "getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek",
    "getHours", "getMinutes", "getSeconds", "getMilliseconds",
}  # fmt: skip
# All errors that the library raises when an expression does not fit the data.
_EVALUATION_ERRORS = (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError)
MAX_REASON_CHARACTERS = 500
MAX_QUOTED_CHARACTERS = 200


class ExpressionInvalid(ValueError):
    """The text is not an expression, or uses an unknown name."""


class ExpressionFailed(Exception):
    """The expression is valid, but not for this data: a missing key, a wrong type, too much work."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. It can always be evaluated with data of at most `safe_size`."""

    source: str
    program: cel.Program
    reads: Reads
    tree: cel_syntax.Node
    safe_size: int

    @property
    def has_loops(self) -> bool:
        """Whether it evaluates a part for each element of a collection."""
        return any(isinstance(part, cel_syntax.Loop) for part in cel_syntax.walk(self.tree))

    def safe_size_with(self, lengths: expression_costs.Lengths) -> int:
        """The same for data in which these members have at most so many elements."""
        return expression_costs.safe_size(self.tree, frozenset(name for name, _ in self.reads), lengths)

    def test(self, scope: Scope) -> bool:
        """The result of the expression. Raises `ExpressionFailed` for a result that is no boolean, for data that it
        cannot be evaluated with, and without evaluating it if it may cost more than `expression_costs.MAX_COST`.
        """
        result = self._evaluate(scope)
        if not isinstance(result, bool):
            raise ExpressionFailed(f"returns {type(result).__name__} instead of true or false")
        return result

    def number(self, scope: Scope) -> int:
        """The same for an expression whose result is a whole number."""
        result = self._evaluate(scope)
        if not isinstance(result, int) or isinstance(result, bool):
            raise ExpressionFailed(f"returns {type(result).__name__} instead of a whole number")
        return result

    def texts(self, scope: Scope) -> tuple[str, ...]:
        """The same for an expression whose result is a text or a list of texts, none of them empty."""
        result = self._evaluate(scope)
        found = result if isinstance(result, list) else [result]
        if not found or not all(isinstance(text, str) and text.strip() for text in found):
            raise ExpressionFailed(f"returns {type(result).__name__} instead of a name, or of names")
        return tuple(found)

    def _evaluate(self, scope: Scope) -> object:
        self._check_cost(scope)
        try:
            result: object = self.program.execute(scope.context(self.reads))
        except _EVALUATION_ERRORS as error:
            raise ExpressionFailed(_explain(error)) from None
        return result

    def _check_cost(self, scope: Scope) -> None:
        size = scope.size(self.reads)
        if size <= self.safe_size:
            return
        if size > MAX_SIZE:
            raise ExpressionFailed(f"the data has more than {MAX_SIZE:,} elements, which is too much for an expression")
        cost = expression_costs.cost(self.tree, scope.read(self.reads))
        if cost > MAX_COST:
            raise ExpressionFailed(
                f"may cost {cost:,} with this data, and the limit is {MAX_COST:,}: the data has too many or too large"
                " elements for it (see `nightdesk charter check`)"
            )


def _explain(error: Exception) -> str:
    """In one line of bounded length: the library quotes the data."""
    if isinstance(error, KeyError):
        return f"there is no {str(error.args[0])[:MAX_QUOTED_CHARACTERS]!r} in the data: test it with has(…) first"
    return (str(error) or type(error).__name__).splitlines()[0][:MAX_REASON_CHARACTERS]


def compile_expression(source: str, names: frozenset[str]) -> Expression:
    """Compile `source`, which may refer to `names`. Raises `ExpressionInvalid` with a reason of one line."""
    if len(source) > cel_syntax.MAX_CHARACTERS:
        # Before the library sees it: one that is long enough ends the process there.
        raise ExpressionInvalid(
            f"the expression has {len(source)} characters, and at most {cel_syntax.MAX_CHARACTERS} are read"
        )
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise ExpressionInvalid(_syntax_error(str(error))) from None
    try:
        tree = cel_syntax.parse(source)
        expression_costs.check(tree)
        _check_patterns(tree)
    except cel_syntax.SyntaxNotSupported as error:
        raise ExpressionInvalid(f"not an expression whose cost can be bounded: {error}") from None
    bound = {part.variable for part in cel_syntax.walk(tree) if isinstance(part, cel_syntax.Loop)}
    unknown = sorted(set(program.variables()) - names - bound)
    if unknown:
        raise ExpressionInvalid(f"unknown name {unknown[0]!r} in expression; known names: {', '.join(sorted(names))}")
    for function in sorted(program.functions()):
        if function.isidentifier() and not function.startswith("_") and function not in _KNOWN_FUNCTIONS:
            raise ExpressionInvalid(f"unknown function {function!r} in expression")
    reads = _reads(tree, names)
    reads = frozenset(read for read in reads if read[1] == WHOLE or (read[0], WHOLE) not in reads)
    return Expression(source, program, reads, tree, expression_costs.safe_size(tree, frozenset(n for n, _ in reads)))


def _check_patterns(tree: cel_syntax.Node) -> None:
    """The library compiles the pattern of `matches` at each call, so one that is none would fail at every event."""
    for part in cel_syntax.walk(tree):
        if isinstance(part, cel_syntax.Call) and part.function == "matches":
            pattern = part.arguments[-1]
            assert isinstance(pattern, cel_syntax.Literal)  # expression_costs.check
            try:
                cel.compile(f"''.matches({pattern.source})").execute({})
            except (ValueError, RuntimeError) as error:
                reason = str(error).partition("error: ")[2].rpartition("error: ")[2].partition(". Check")[0].strip()
                raise cel_syntax.SyntaxNotSupported(f"{pattern.source[:80]} is not a pattern: {reason}") from None


def _reads(node: cel_syntax.Node, names: frozenset[str]) -> Reads:
    """The data that the expression can read: one member of each name, or the whole value if it names no member."""
    match node:
        case cel_syntax.Select(operand=cel_syntax.Name(name=name), member=member) if name in names:
            return frozenset({(name, member)})
        case cel_syntax.Name(name=name) if name in names:
            return frozenset({(name, WHOLE)})
    return frozenset(read for child in cel_syntax.children(node) for read in _reads(child, names))


def _syntax_error(message: str) -> str:
    """The library's message has several lines and repeats the expression; the reason follows `ERROR: <input>:1:5:`."""
    found = re.search(r"ERROR: <input>:(\d+):(\d+): (.*)", message)
    if found is None:
        return f"not an expression: {message.splitlines()[0]}"
    reason = re.sub(r" expecting \{.*", "", found[3]).removeprefix("Syntax error: ")
    return f"not an expression: {reason} (at character {found[2]})"
