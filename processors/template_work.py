"""A Jinja environment that counts the work of a template before it is done, and stops at a bound.

A template processes data that anybody may send: it loops over it, repeats a string as often as it says, pads it to the
width that it says. Each operation that takes time or memory for its operands charges the current rendering
(`template_charges.py`). Filters, tests, attributes and methods are listed by name, each with its cost rule. An iterator
becomes a list, with its elements charged, before it reaches a filter or a method.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from jinja2 import StrictUndefined, TemplateRuntimeError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Context, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Joiner

from nightdesk.processors.sizes import MAX_SIZE
from nightdesk.processors.template_charges import MAX_WORK as MAX_WORK
from nightdesk.processors.template_charges import WorkExceeded as WorkExceeded
from nightdesk.processors.template_charges import (
    as_list,
    charge,
    check_braces,
    check_percent,
    check_power,
    check_product,
    flat,
    growth,
)
from nightdesk.processors.template_charges import counted as counted
from nightdesk.processors.template_counting import COUNTING, Counting, as_text
from nightdesk.processors.template_filters import FILTERS, Rule
from nightdesk.processors.template_methods import charge_method, is_reachable
from nightdesk.processors.template_numbers import EXACT, check_operands, check_result, formatted_exactly
from nightdesk.processors.template_tests import TESTS, charge_test

_CALL = 10
_APPLICATION = 3
# What compiled templates pass along with each call in a loop or a block; Jinja takes it away again.
_OF_JINJA = ("_loop_vars", "_block_vars")


def _filter(function: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def apply(*arguments: Any, **named: Any) -> Any:
        charge(_APPLICATION)
        given = [as_list(argument) for argument in arguments[skipped:]]
        if named:
            named = {name: as_list(argument) for name, argument in named.items()}
        rule(*given, **named)
        result = as_list(function(*arguments[:skipped], *given, **named))
        check_result(result)
        charge(flat(result))
        return result

    return apply


def _test(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def apply(*arguments: Any) -> Any:
        charge_test(name, *arguments[skipped:])
        return function(*arguments)

    return apply


@pass_context  # with a context nothing is rendered at compile time, where nothing counts
def _finalize(_: Context, value: Any) -> Any:
    return as_text(value)


def safe_elements(tree: nodes.Node) -> int:
    """The number of elements in each collection it loops over with which a template stays within MAX_WORK."""
    return min((_safe_within(loop, 1) for loop in tree.iter_child_nodes()), default=MAX_SIZE)


def _safe_within(node: nodes.Node, depth: int) -> int:
    found = MAX_SIZE
    if isinstance(node, nodes.For):
        steps = sum(1 for _ in node.find_all(nodes.Node))
        found, depth = int((MAX_WORK / steps) ** (1 / depth)), depth + 1
    return min([found, *(_safe_within(child, depth) for child in node.iter_child_nodes())])


class CountingEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with every operation charged. Nothing is evaluated at compile time."""

    intercepted_binops = frozenset({"*", "**", "%", "+", "-", "/", "//"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, finalize=_finalize, keep_trailing_newline=True, optimized=False)
        del self.globals["lipsum"]
        known = {**self.filters, **EXACT}
        self.filters = {name: _filter(known[name], rule) for name, rule in FILTERS.items()} | dict(COUNTING)
        self.tests = {name: _test(name, self.tests[name]) for name in TESTS}  # type: ignore[arg-type]  # Jinja types them as function

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        tree = Counting().visit(source)
        tree.set_environment(self)
        return super()._generate(tree, *args, **kwargs)

    def call_filter(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A filter that is named by a value, as in `map`."""
        if name in COUNTING:
            raise TemplateRuntimeError(f"No filter named {name!r}.")
        return super().call_filter(name, *args, **kwargs)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Only what `template_methods.py` names."""
        return super().is_safe_attribute(obj, attr, value) and is_reachable(obj, attr)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        hint = f"{attribute!r} of a {type(obj).__name__} is not available in templates"
        return self.undefined(hint, obj=obj, name=attribute, exc=SecurityError)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A mapping has only its keys, so a key called `items` is the key and not a method."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, slice):
            charge(flat(obj))
        elif isinstance(argument, str) and isinstance(obj, Mapping):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        check_operands(operator, left, right)
        if operator == "*":
            check_product(left, right)
        elif operator == "**":
            check_power(left, right)
        elif operator == "%" and isinstance(left, str):
            check_percent(left, right)
            right = formatted_exactly(right)
        elif operator == "+":
            charge(flat(left) * growth(right) + flat(right) * growth(left))
        result = super().call_binop(context, operator, left, right)
        check_result(result)
        return result

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in Jinja
        charge(_CALL + len(args))
        if hasattr(__obj, "__self__") and hasattr(__obj, "__name__"):
            args = tuple(map(as_list, args))
            charge_method(__obj, args, {name: value for name, value in kwargs.items() if name not in _OF_JINJA})
        elif not __self._is_callable(__obj):
            raise TypeError(f"a {type(__obj).__name__} cannot be called in a template")
        result = super().call(__context, __obj, *args, **kwargs)
        check_result(result)
        charge(flat(result))
        return result

    def _is_callable(self, value: Any) -> bool:
        """Macros, blocks, Jinja's own functions, and `format` as it is wrapped here."""
        if isinstance(value, Macro | BlockReference | Joiner | Undefined) or hasattr(value, "checks_its_format"):
            return True
        return any(value is function for function in self.globals.values())

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def checked(*args: Any, **kwargs: Any) -> str:
            check_braces(value.__self__, args, kwargs)
            return wrapped(*formatted_exactly(args), **formatted_exactly(kwargs))

        checked.checks_its_format = True  # type: ignore[attr-defined]  # how `_is_callable` knows it
        return checked
