"""Counts the work of what Jinja compiles to plain Python: loops, comparisons and `~` become filters that charge it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from typing import Any

from jinja2 import nodes
from jinja2.runtime import Undefined
from jinja2.visitor import NodeTransformer

from nightdesk.processors.sizes import CHARACTERS_PER_ELEMENT
from nightdesk.processors.template_charges import (
    charge,
    charge_search,
    deep,
)


def _stepped(iterable: Iterable[Any], weight: int) -> Iterator[Any]:
    """The elements; each iteration is charged with the size of the loop's body."""
    for item in iterable:
        charge(weight)
        yield item


def _compared(value: Any) -> Any:
    charge(deep(value))
    return value


def _contained(container: Any, part: Any) -> bool:
    charge(deep(container) + deep(part))
    charge_search(container, part)
    return part in container


_WRITTEN = (str, int, float, date, time, timedelta, list, tuple, Mapping, Undefined, type(None))


def as_text(value: Any) -> Any:
    """A value that is output or joined to a string."""
    if not isinstance(value, _WRITTEN):
        raise TypeError(f"a {type(value).__name__} cannot be written as a text: write its parts, or a list of them")
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, Undefined):
        charge(deep(value))
    return value


class Counting(NodeTransformer):
    """Puts the filters of `COUNTING` into a template's tree."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's names
        self.generic_visit(node)
        parts = [part for child in (*node.body, *node.else_) for part in (child, *child.find_all(nodes.Node))]
        text = sum(len(part.data) for part in parts if isinstance(part, nodes.TemplateData))
        node.iter = _applied(node.iter, "counted steps", nodes.Const(1 + len(parts) + text // CHARACTERS_PER_ELEMENT))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_applied(part, "counted text") for part in node.nodes]
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if len(node.ops) == 1 and node.ops[0].op in ("in", "notin"):
            found = _applied(node.ops[0].expr, "counted membership", node.expr)
            return found if node.ops[0].op == "in" else nodes.Not(found, lineno=node.lineno)
        node.expr = _applied(node.expr, "counted comparison")
        for operand in node.ops:
            operand.expr = _applied(operand.expr, "counted comparison")
        return node


# A space keeps them out of templates; `call_filter` keeps them out of `map`.
COUNTING: Mapping[str, Callable[..., Any]] = {
    "counted steps": _stepped,
    "counted text": as_text,
    "counted comparison": _compared,
    "counted membership": _contained,
}


def _applied(node: Any, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(arguments), [], None, None, lineno=node.lineno)
