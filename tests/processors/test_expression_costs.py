"""The cost of expressions with hostile data; no evaluation exceeds its estimate."""

import contextlib
from dataclasses import dataclass
from typing import Any

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors import cel_syntax
from nightdesk.processors.expression_costs import MAX_COST, cost, worst_cost
from nightdesk.processors.expressions import ExpressionFailed, ExpressionInvalid, compile_expression
from nightdesk.processors.regex_costs import pattern_cost
from nightdesk.processors.scopes import EVENT, FUNCTIONS, Scope
from nightdesk.processors.sizes import MAX_SIZE, size_of
from tests.effort import examples

NAMES = frozenset({"event"})
NUMBERS = list(range(20_000))
WORDS = [f"word {number}" for number in range(20_000)]


def scope(**data: Any) -> Scope:
    return Scope({"event": {"data": data}})


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("event.data.a.all(x, event.data.a.exists(y, y == x))", {"a": NUMBERS}),
        ("event.data.a.all(x, x in event.data.a)", {"a": NUMBERS}),
        ("event.data.a.all(x, event.data.a == event.data.a)", {"a": NUMBERS}),
        ("event.data.a.map(x, x + 1).size() > 0", {"a": NUMBERS}),
        ("event.data.a.filter(x, x > 1).size() > 0", {"a": NUMBERS}),
        ("event.data.a.exists_one(x, event.data.b > x)", {"a": NUMBERS, "b": 1}),
        ("event.data.a.all(x, event.data.t.contains('b'))", {"a": NUMBERS[:2000], "t": "a" * 900_000}),
        ("event.data.a.all(x, x.matches('[a-z]+'))", {"a": WORDS}),
        ("event.data.a.all(key, event.data.a[key] > 0)", {"a": dict.fromkeys(WORDS, 1)}),
        ("event.data.a.all(x, x.b.all(y, x.b.all(z, z != y)))", {"a": [{"b": NUMBERS[:150]}] * 150}),
        ("[event.data.a, event.data.a].all(x, x.all(y, x.all(z, x == x)))", {"a": NUMBERS[:1000]}),
        ("event.data.t.matches('[ab]*a[ab]{50}c')", {"t": "ab" * 400_000}),
        ("mentions(event.data.t, event.data.a)", {"t": "a" * 500_000, "a": WORDS}),
        (" + ".join(["event.data.t"] * 50) + " == ''", {"t": "a" * 900_000}),
        ("size(event.data.a) > 0", {"a": [1] * 500_000}),
    ],
)  # fmt: skip
def test_what_would_cost_too_much_is_not_evaluated(source: str, data: dict[str, Any]) -> None:
    with pytest.raises(ExpressionFailed, match=r"may cost|too much"):
        compile_expression(source, EVENT).test(scope(**data))


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("event.data.a.all(x, x >= 0)", {"a": NUMBERS}),
        ("event.data.a.exists(x, x == 'word 7')", {"a": WORDS[:10_000]}),
        ("event.data.a.all(x, event.data.a.exists(y, y == x))", {"a": NUMBERS[:200]}),
        ("event.data.a.all(x, x in event.data.a)", {"a": NUMBERS[:500]}),
        ("!event.data.t.matches('(?i)refund')", {"t": "a" * 900_000}),
        ("event.data.a.all(x, x.price * x.quantity < 100.0)", {"a": [{"price": 1.5, "quantity": 2.0}] * 500}),
    ],
)  # fmt: skip
def test_what_people_write_is(source: str, data: dict[str, Any]) -> None:
    assert compile_expression(source, EVENT).test(scope(**data))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("event.data.text.matches(event.data.pattern)", "has to be a literal"),
        (r"event.data.text.matches('\\w{600}')", "too large"),
        (r"event.data.text.matches('\x5cw{600}')", "too large"),
        (r"event.data.text.matches(r'((\d{20}){20}){20}')", "too large"),
        ("event.data" + ".a" * 60 + " == 1", "more than 50 nested members"),
        ("event.data.text == '" + "x" * 20_000 + "'", "20021 characters"),
    ],
)
def test_what_cannot_be_bounded_does_not_compile(source: str, reason: str) -> None:
    with pytest.raises(ExpressionInvalid, match=reason):
        compile_expression(source, EVENT)


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("a", "a{50}"),
        ("[a-z]", r"\w"),
        ("(ab){2}", "((ab){2}){2}"),
        ("abc", "(?i)abc"),
        (r"(?x)\w {9}", r"(?x)\w {90}"),
        ("a{3}", "a{3,9}"),
    ],
)
def test_a_pattern_that_says_more_costs_more(small: str, large: str) -> None:
    assert pattern_cost(small).compile < pattern_cost(large).compile


# -- that no evaluation does more steps than its estimate has


@dataclass(frozen=True)
class Written:
    """An expression, and the same with a call of `step` for each pass through a loop."""

    plain: str
    counted: str


def _loop(macro: str, depth: int) -> st.SearchStrategy[Written]:
    bodies = _tests(depth - 1, f"x{depth}")
    receivers = st.sampled_from(["event.data.a", "event.data.b", "event.data.a.map(i, event.data.b)", "[1, 2, 3]"])

    def write(receiver: str, body: Written) -> Written:
        head, tail = f"{receiver}.{macro}(x{depth}, ", ").size() >= 0" if macro in ("map", "filter") else ")"
        return Written(f"{head}{body.plain}{tail}", f"{head}step() ? ({body.counted}) : false{tail}")

    return st.builds(write, receivers, bodies)


def _tests(depth: int, variable: str) -> st.SearchStrategy[Written]:
    plain = st.sampled_from(
        [f"{variable} == {variable}", "size(event.data.a) >= 0", f"!({variable} in event.data.b)", "1 < 2"]
    ).map(lambda text: Written(text, text))
    if depth == 0:
        return plain
    loops = st.sampled_from(["all", "exists", "exists_one", "filter", "map"]).flatmap(lambda m: _loop(m, depth))
    both = st.builds(
        lambda a, b: Written(f"({a.plain}) || ({b.plain})", f"({a.counted}) || ({b.counted})"), loops, plain
    )
    return plain | loops | both


@given(expression=_tests(3, "1"), a=st.lists(st.integers(0, 3), max_size=9), b=st.lists(st.text(), max_size=9))
@settings(max_examples=examples(200))
def test_the_steps_of_an_evaluation_are_within_its_estimate(expression: Written, a: list[int], b: list[str]) -> None:
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        return True

    values = {"event": {"data": {"a": a, "b": b}}}
    with contextlib.suppress(ValueError, TypeError, RuntimeError, LookupError):
        cel.compile(expression.counted).execute(cel.Context(variables=values, functions={**FUNCTIONS, "step": step}))
    tree = cel_syntax.parse(expression.plain)
    told = cost(tree, values)
    assert steps * 5 <= told
    assert told <= worst_cost(tree, NAMES, size_of(values))
    compiled = compile_expression(expression.plain, EVENT)
    if told > MAX_COST:
        with pytest.raises(ExpressionFailed, match="may cost"):
            compiled.test(Scope(values))


@given(size=st.integers(0, MAX_SIZE))
def test_the_safe_size_is_the_last_that_is_safe(size: int) -> None:
    compiled = compile_expression("event.data.all(x, event.data.exists(y, x == y))", EVENT)
    assert (worst_cost(compiled.tree, NAMES, size) <= MAX_COST) is (size <= compiled.safe_size)


@given(
    st.recursive(
        st.text(max_size=40) | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_value_is_larger_than_all_its_parts_together(value: Any) -> None:
    parts = value if isinstance(value, list) else [*value, *value.values()] if isinstance(value, dict) else []
    assert size_of(value) >= 1 + sum(map(size_of, parts)) if parts else size_of(value) >= 1
