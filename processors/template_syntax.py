"""The syntax of templates: parsed, compiled and refused where Jinja or Python cannot follow.

`templates.py` compiles every template of a charter with it. Whatever a template does to these two is `TemplateInvalid`.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from math import isfinite
from typing import Any, TypeVar

from jinja2 import TemplateError, TemplateSyntaxError, nodes

from nightdesk.processors.template_work import CountingEnvironment

MAX_DEPTH = 50
MAX_NODES = 5_000
_TOO_DEEP = (
    f"not a template: it nests too deep, more than {MAX_DEPTH} levels: a chain of operators, members or filters nests"
    " once for each of them"
)
_SURROGATE = re.compile("[\ud800-\udfff]")

Compiled = TypeVar("Compiled")


class TemplateInvalid(ValueError):
    """The text is not a template, or uses an unknown name."""


@cache
def environment() -> CountingEnvironment:
    """The one environment, with its compiled lexer."""
    return CountingEnvironment()


def parse(source: str) -> nodes.Template:
    """The syntax tree of a template. Raises `TemplateInvalid`."""
    tree = compiled(environment().parse, source)
    for node in _walk(tree):
        if isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends):
            raise TemplateInvalid(
                f"a template stands alone: there is no other to read (line {node.lineno} of the text)"
            )
        if isinstance(node, nodes.Const) and isinstance(node.value, str) and _SURROGATE.search(node.value):
            raise TemplateInvalid(f"has half a character: write the whole one (line {node.lineno} of the text)")
    _check_nodes(tree)
    return tree


def _walk(tree: nodes.Template) -> Iterator[nodes.Node]:
    """Every node. Raises TemplateInvalid where they nest deeper than Jinja's compiler can follow in every process."""
    pending: list[tuple[nodes.Node, int]] = [(tree, 0)]
    count = 0
    while pending:
        node, depth = pending.pop()
        count += 1
        if count > MAX_NODES:
            raise TemplateInvalid(f"has more than {MAX_NODES:,} parts: fewer expressions, or the text without them")
        if depth > MAX_DEPTH:
            raise TemplateInvalid(_TOO_DEEP)
        yield node
        pending.extend((child, depth + 1) for child in node.iter_child_nodes())


def compiled(compile_: Callable[..., Compiled], source: str, **options: Any) -> Compiled:
    """Jinja writes Python and has it compiled: what either raises is TemplateInvalid here."""
    try:
        return compile_(source, **options)
    except TemplateSyntaxError as error:
        raise TemplateInvalid(f"not a template: {error.message} (line {error.lineno} of the text)") from None
    except (RecursionError, MemoryError):  # of Python's own compiler, where brackets nest
        raise TemplateInvalid(_TOO_DEEP) from None
    except (TemplateError, SyntaxError, ValueError, OverflowError) as error:
        # Python allows 20 loops inside one another.
        reason = _TOO_DEEP if "statically nested" in str(error) else f"not a template: {error}"
        raise TemplateInvalid(reason) from None


def _check_nodes(tree: nodes.Template) -> None:
    """Refuse what Jinja accepts and we do not."""
    for node in tree.find_all((nodes.For, nodes.Compare, nodes.Const)):
        match node:
            case nodes.For(recursive=True):
                wrong = "a recursive loop has no bound: write one loop for each level"
            case nodes.Compare(ops=[_, _, *_]) if any(part.op in ("in", "notin") for part in node.ops):
                wrong = "`in` within a chain of comparisons: write them one by one, with `and`"
            case nodes.Const(value=float() as number) if not isfinite(number):
                wrong = "a number that is larger than any number can be"
            case _:
                continue
        raise TemplateInvalid(f"{wrong} (line {node.lineno})")
