"""The possible faults of a module: each place, and the module's text with the fault.

A fault is one mistake of a tired person: another comparison, a negated condition, a bound that is off by one, a missing
statement. Texts, types and error messages are not changed, because no test has to check them.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.FloorDiv: "*", ast.Div: "*"}
# Calls whose loss harms nobody but readers of logs and metrics.
_QUIET = ("log.", "logger.", "warnings.", "sys.stdout", "sys.stderr", "typer.")


@dataclass(frozen=True, slots=True)
class Fault:
    """Replaces the text from `start` to `end` (characters of the module) with `text`."""

    line: int
    kind: str
    start: int
    end: int
    text: str

    def put_into(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.end :]


def faults(source: str) -> tuple[Fault, ...]:
    """All faults that can be made in a module, in the order of its text."""
    found = sorted(_Finder(source).found(), key=lambda fault: (fault.start, fault.kind, fault.text))
    return tuple(fault for fault in found if _compiles(fault.put_into(source)))


def lines_of_statement(source: str, fault: Fault) -> range:
    """The lines of the innermost statement that contains the fault, without the statements in it."""
    inner = range(fault.line, fault.line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= fault.line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
            if fault.line < end or node.lineno == fault.line:
                inner = range(node.lineno, max(end, fault.line + 1))
    return inner


def _compiles(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


class _Finder:
    def __init__(self, source: str) -> None:
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._text_of_line = source.splitlines(keepends=True)

    def found(self) -> Iterator[Fault]:
        for node in self._code(ast.parse(self._source)):
            yield from self._at(node)

    def _code(self, node: ast.AST) -> Iterator[ast.AST]:
        """The executable code: no annotations, no messages of exceptions, no decorators."""
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "exc", "msg"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield child
                    yield from self._code(child)

    def _at(self, node: ast.AST) -> Iterator[Fault]:
        yield from self._at_operator(node)
        yield from self._at_statement(node)

    def _at_operator(self, node: ast.AST) -> Iterator[Fault]:
        match node:
            case ast.Compare(ops=[operator]) if type(operator) in _COMPARISONS:
                yield self._between(node.left, node.comparators[0], _COMPARISONS[type(operator)], "comparison")
            case ast.BoolOp(op=operator):
                word = "or" if isinstance(operator, ast.And) else "and"
                for left, right in pairwise(node.values):
                    yield self._between(left, right, word, "and/or")
            case ast.BinOp() if type(node.op) in _OPERATORS and not isinstance(node.left, ast.Constant | ast.JoinedStr):
                yield self._between(node.left, node.right, _OPERATORS[type(node.op)], "operator")
            case ast.UnaryOp(op=ast.Not()):
                yield self._instead(node, f"({self._of(node.operand)})", "not")
            case ast.Constant(value=bool(truth)):
                yield self._instead(node, str(not truth), "constant")
            case ast.Constant(value=int(number)):
                yield self._instead(node, str(number + 1), "constant")

    def _at_statement(self, node: ast.AST) -> Iterator[Fault]:
        match node:
            case ast.If() | ast.IfExp() | ast.While() if not isinstance(node.test, ast.Constant):
                yield self._instead(node.test, f"(not ({self._of(node.test)}))", "condition")
            case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
                yield self._instead(value, "None", "return")
            case ast.Expr(value=ast.Call() | ast.Await()) if not self._of(node).startswith(_QUIET):
                yield self._instead(node, "pass", "statement")
            case ast.AugAssign() | ast.Delete() | ast.Break() | ast.Continue() | ast.Raise():
                yield self._instead(node, "pass", "statement")

    def _between(self, left: ast.expr, right: ast.expr, operator: str, kind: str) -> Fault:
        """The text between two operands, with its brackets, without the operator itself."""
        start, end = self._end(left), self._start(right)
        gap = self._source[start:end]
        closing, opening = gap.count(")"), gap.count("(")
        return Fault(left.lineno, kind, start, end, f"{')' * closing} {operator} {'(' * opening}")

    def _instead(self, node: ast.expr | ast.stmt, text: str, kind: str) -> Fault:
        return Fault(node.lineno, kind, self._start(node), self._end(node), text)

    def _of(self, node: ast.expr | ast.stmt) -> str:
        return self._source[self._start(node) : self._end(node)]

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._place(node.lineno, node.col_offset)

    def _end(self, node: ast.expr | ast.stmt) -> int:
        return self._place(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def _place(self, line: int, byte: int) -> int:
        return self._lines[line - 1] + len(self._text_of_line[line - 1].encode()[:byte].decode())
