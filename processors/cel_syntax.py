"""Parses the parts of a CEL expression that determine the cost of evaluating it: names, members, loops and operators.

The library exposes no syntax tree, so `expressions.py` parses each expression that the library has compiled. Operator
precedence is ignored, because the cost is the same whichever operator comes first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
MAX_CHARACTERS = 10_000
MAX_DEPTH = 50
# The library nests them.
MAX_OPERANDS = 500

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
    |(?P<text>[rRbB]{0,2}(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.?\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<name>[A-Za-z_]\w*|`[^`\n]+`)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_OPERATORS = frozenset({"&&", "||", "==", "!=", "<=", ">=", "<", ">", "in", "+", "-", "*", "/", "%"})
_CONSTANTS = frozenset({"true", "false", "null"})


class SyntaxNotSupported(ValueError):
    """The expression has a form whose cost cannot be bounded."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A text or number literal, as in the source."""

    source: str


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    operand: "Node"
    member: str


@dataclass(frozen=True, slots=True)
class Index:
    operand: "Node"
    index: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """A function or a method; the receiver of a method is its first argument."""

    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """Operands of an operator. `adds`: their values may become one value that is as large as all of them together."""

    operands: tuple["Node", ...]
    adds: bool


@dataclass(frozen=True, slots=True)
class Collection:
    """A list or a map that the expression makes."""

    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A macro over a list or the keys of a map; `bodies` are evaluated for each element."""

    macro: str
    receiver: "Node"
    variable: str
    bodies: tuple["Node", ...]


Node = Literal | Name | Select | Index | Call | Operation | Collection | Loop


def parse(source: str) -> Node:
    """The tree of an expression that compiles, of at most MAX_CHARACTERS.

    Raises `SyntaxNotSupported` for an unknown form.
    """
    parser = _Parser(source)
    node = parser.expression()
    if parser.token:
        raise SyntaxNotSupported(f"syntax error at {parser.token!r}")
    return node


def children(node: Node) -> tuple[Node, ...]:
    """The direct children of a node."""
    match node:
        case Literal() | Name():
            return ()
        case Select():
            return (node.operand,)
        case Index():
            return (node.operand, node.index)
        case Call():
            return node.arguments
        case Operation():
            return node.operands
        case Collection():
            return node.items
        case Loop():
            return (node.receiver, *node.bodies)


def walk(node: Node) -> Iterator[Node]:
    """The node and all its descendants."""
    yield node
    for child in children(node):
        yield from walk(child)


class _Parser:
    """A cursor over the tokens; `token` is the next one, empty at the end."""

    def __init__(self, source: str) -> None:
        self._tokens = _tokens(source)
        self._depth = 0
        self.token = ""
        self._kind = ""
        self._next()

    def _next(self) -> str:
        read = self.token
        self._kind, self.token = next(self._tokens, ("end", ""))
        return read

    def _take(self, sign: str) -> bool:
        if self._kind in ("sign", "name") and self.token == sign:
            self._next()
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise SyntaxNotSupported(f"expected {sign!r} instead of {self.token!r}")

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise SyntaxNotSupported(f"the expression nests deeper than {MAX_DEPTH}")
        operands, signs = [self._unary()], set()
        while self.token in _OPERATORS and self._kind in ("sign", "name"):
            signs.add(self._next())
            operands.append(self._unary())
            if len(operands) > MAX_OPERANDS:
                raise SyntaxNotSupported(f"more than {MAX_OPERANDS} operands side by side")
        node = operands[0] if len(operands) == 1 else Operation(tuple(operands), adds="+" in signs)
        if self._take("?"):
            then = self.expression()
            self._expect(":")
            node = Operation((node, then, self.expression()), adds=True)
        self._depth -= 1
        return node

    def _unary(self) -> Node:
        signs = 0
        while self._take("!") or self._take("-"):
            signs += 1
            if signs > MAX_DEPTH:
                raise SyntaxNotSupported(f"more than {MAX_DEPTH} signs before one operand")
        node = self._primary()
        for _ in range(MAX_DEPTH):
            if self._take("."):
                node = self._member(node)
            elif self._take("["):
                node = Index(node, self.expression())
                self._expect("]")
            else:
                return node
        raise SyntaxNotSupported(f"more than {MAX_DEPTH} nested members")

    def _member(self, operand: Node) -> Node:
        if self._kind != "name":
            raise SyntaxNotSupported(f"expected a name instead of {self.token!r}")
        member = self._next().strip("`")
        if not self._take("("):
            return Select(operand, member)
        arguments = self._list(")")
        if member not in MACROS:
            return Call(member, (operand, *arguments))
        if len(arguments) < 2 or not isinstance(arguments[0], Name):
            raise SyntaxNotSupported(f"{member} takes the name of a variable and an expression")
        return Loop(member, operand, arguments[0].name, arguments[1:])

    def _primary(self) -> Node:
        if self._kind in ("text", "number"):
            return Literal(self._next())
        if self._take("("):
            node = self.expression()
            self._expect(")")
            return node
        if self._take("["):
            return Collection(self._list("]"))
        if self._take("{"):
            return Collection(self._list("}"))
        self._take(".")
        if self._kind != "name":
            raise SyntaxNotSupported(f"syntax error at {self.token!r}")
        name = self._next().strip("`")
        if self._take("("):
            return Call(name, self._list(")"))
        return Literal(name) if name in _CONSTANTS else Name(name)

    def _list(self, end: str) -> tuple[Node, ...]:
        """The items between brackets; for a map, keys and values alternate."""
        items: list[Node] = []
        while not self._take(end):
            items.append(self.expression())
            if not (self._take(",") or (end == "}" and self._take(":"))):
                self._expect(end)
                break
        return tuple(items)


def _tokens(source: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(source):
        found = _TOKEN.match(source, position)
        if found is None or found.lastgroup is None:
            raise SyntaxNotSupported(f"syntax error at {source[position : position + 20]!r}")
        position = found.end()
        if found.lastgroup != "skip":
            yield found.lastgroup, found.group()
