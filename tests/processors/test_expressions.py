"""Expressions: which compile, what they return, and that no data makes them raise anything but ExpressionFailed."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.expressions import ExpressionFailed, ExpressionInvalid, compile_expression
from nightdesk.processors.scopes import DECISION, EVENT, Scope, event_scope
from tests.processors.examples import event

SCOPE = event_scope(event("Please REFUND Straße 5", amount=40, tags=["a", "b"]))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('event.data.status == "open"', True),
        ('event.type == "ticket.created" && event.subject == "t-1" && event.source == "shop"', True),
        ("event.data.amount <= 100.0", True),  # whole numbers and fractions compare
        ("event.data.amount > 40", False),
        ("has(event.data.amount)", True),
        ("has(event.data.missing) && event.data.missing > 1", False),
        ('event.data.tags.exists(tag, tag == "b")', True),
        ('event.data.text.mentions(["refund"])', True),
        ('event.data.text.mentions(["STRASSE"])', True),
        ('mentions(event.data.text, ["geld", "dinero"])', False),
        ('lower(event.data.text).startsWith("please")', True),
        ('event.data.text.matches("(?i)refund")', True),
        ("event.time < timestamp('2026-12-01T00:00:00Z')", True),
    ],
)  # fmt: skip
def test_what_holds(source: str, expected: bool) -> None:
    assert compile_expression(source, EVENT).test(SCOPE) is expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("event.data.missing == 1", "there is no 'missing'"),
        ('event.data.status > 1', "No such overload"),
        ("event.data.amount", "returns int instead of true or false"),
        ("1 / 0 == 1", "division by zero"),
        ('event.data.tags[7] == "x"', "7"),
        ("event.data.amount.mentions(['x'])", "failed"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_fails(source: str, reason: str) -> None:
    with pytest.raises(ExpressionFailed, match=reason):
        compile_expression(source, EVENT).test(SCOPE)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "not an expression"),
        ("event.", "not an expression"),
        ("event.data ==", "at character"),
        ("decision.action == 'x'", "unknown name 'decision'"),
        ("open('/etc/passwd')", "unknown function 'open'"),
        ("[1].all(x, y == 1)", "unknown name 'y'"),
        ("(" * 500 + "1" + ")" * 500, "not an expression"),
    ],
)
def test_what_does_not_compile(source: str, reason: str) -> None:
    with pytest.raises(ExpressionInvalid, match=reason):
        compile_expression(source, EVENT)


@pytest.mark.parametrize(
    "source", ["event.data[event.data.text] == 1", "event.data.text + 1 == 2", "int(event.data.text) > 1"]
)
@pytest.mark.parametrize("text", ["x" * 900_000, "x\n" * 300_000, "\n", ""])
def test_a_reason_has_one_line_of_bounded_length_whatever_it_quotes(source: str, text: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        compile_expression(source, EVENT).test(event_scope(event(text)))
    assert 0 < len(str(caught.value)) <= 500
    assert "\n" not in str(caught.value)


def test_a_name_that_a_macro_binds_is_known() -> None:
    assert compile_expression("[1, 2].all(x, x > 0)", frozenset()).test(Scope({}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(data=JSON)
def test_no_data_makes_an_expression_raise_anything_else(data: Any) -> None:
    scope = Scope({"event": {"data": data, "type": "t"}, "decision": {"parameters": data}, "case": {}})
    for source in ("event.data.amount <= decision.parameters.amount", "event.data.mentions(['x'])", "event.data == 1"):
        with contextlib.suppress(ExpressionFailed):
            assert compile_expression(source, DECISION).test(scope) in (True, False)


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("event.data.amount > 1 && event . type == 'x'", {"data", "type"}),
        ("event.data.event.time == 1", {"data"}),
        ("event['data'] == 1", {""}),
        ("dyn(event).data == 1", {""}),
        ("event.data == 1 && event.exists(key, key == 'time')", {""}),
        ("{'e': event}.e.data == 1", {""}),
        ("event.all(member, member != 'x') && event.time == event.time", {""}),
        ("event.data == 'about the event'", {"data"}),
        ("size(event.data) > 1 && has(event.missing)", {"data", "missing"}),
    ],
)
def test_what_an_expression_reads_is_what_its_text_names(source: str, reads: set[str]) -> None:
    assert compile_expression(source, EVENT).reads == {("event", member) for member in reads}


@pytest.mark.parametrize(
    "source",
    [
        "size(event) == 6",
        "event.exists(key, key == 'subject')",
        "has(event.time) && has(event.id) && !has(event.other)",
        "event['type'] == 'ticket.created' && event.data.amount == 40",
        "[event].all(one, one.subject == 't-1')",
        "event == event",
    ],
)
def test_nothing_that_is_read_is_left_out(source: str) -> None:
    assert compile_expression(source, EVENT).test(SCOPE)


def test_a_scope_does_not_change_when_another_is_made_of_it() -> None:
    more = SCOPE.having(decision={"action": "x"})
    assert compile_expression("decision.action == 'x' && event.id == 'e-1'", DECISION).test(more)
    with pytest.raises(ExpressionFailed):
        compile_expression("decision.action == 'x'", DECISION).test(SCOPE)
