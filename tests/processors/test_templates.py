"""Templates: what they return, what they cannot reach, and that text from events is never a template."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.scopes import EVENT, Scope, event_scope
from nightdesk.processors.templates import TemplateFailed, TemplateInvalid, check_template, compile_template, members
from tests.processors.examples import event

SCOPE = event_scope(event("Hi", amount=39.9, items=["lamp"], flag=True, nothing=None))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("{{ event.data.text }}!", "Hi!"),
        ("{{ event.data.amount }}", 39.9),
        ("{{event.data.amount}}", 39.9),
        ("{{- event.data.amount -}}", 39.9),
        (" {{ event.data.amount }} ", 39.9),
        ("{{ event.data.amount }} EUR", "39.9 EUR"),
        ("{{ event.data.amount }}{{ event.data.amount }}", "39.939.9"),
        ("{{ event.data.flag }}", True),
        ("{{ event.data.nothing }}", None),
        ("{{ event.data['items'][0] }}", "lamp"),
        ("{{ event.data.items }}", ["lamp"]),  # the key, not a dictionary's method
        ("{{ event.data.missing | default('none') }}", "none"),
        ("{{ event.time }}", "2026-11-20T12:00:00+00:00"),
        ("at {{ event.time }}", "at 2026-11-20T12:00:00+00:00"),
        ("{% if event.data.amount > 10 %}much{% else %}little{% endif %}", "much"),
        ({"a": ["{{ event.id }}", 1], "b": {"c": "{{ event.subject }}"}}, {"a": ["e-1", 1], "b": {"c": "t-1"}}),
        (7, 7),
    ],
)  # fmt: skip
def test_what_a_template_gives(template: Any, expected: Any) -> None:
    check_template(template, EVENT)
    assert compile_template(template)(SCOPE) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{ event.data.missing }}",
        "x {{ event.data.missing }}",
        "{{ event.data.missing.deeper }}",
        "{{ event.data.text + 1 }}",
        "{{ event.data.amount / 0 }}",
        "{{ event.data.text.__class__ }}",
        "{{ event.data.text.__class__.__mro__ }}",
        "{{ event.data['items'].append('x') }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ 'x' * 300000 }}",
        "{% for i in range(10000000) %}x{% endfor %}",
        "{{ event.data.keys() }}",
    ],
)
def test_what_cannot_be_rendered_fails(template: str) -> None:
    with pytest.raises(TemplateFailed):
        compile_template(template)(SCOPE)


@pytest.mark.parametrize("template", ["{{ decision.x }}", "{{ x", "{% if %}", "{{ 1 | nope }}", "{{ 1 is nope }}"])
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(TemplateInvalid):
        check_template({"deep": [template]}, EVENT)


def test_text_from_an_event_is_never_a_template() -> None:
    text = "{{ 7 * 7 }}{% for x in range(9) %}x{% endfor %}{# gone #}"
    assert compile_template("{{ event.data.text }}")(event_scope(event(text))) == text
    assert compile_template("> {{ event.data.text }}")(event_scope(event(text))) == "> " + text


def test_which_parameters_a_template_reads() -> None:
    value = {"a": "{{ decision.parameters.text }}", "b": ["{{ decision.parameters.amount + decision.other.x }}"]}
    assert members(value, "decision", "parameters") == {"text", "amount"}


@given(text=st.text(), template=st.text(alphabet="{}%#|. ab'\"0[]()+-", max_size=30))
def test_no_template_and_no_text_raises_anything_else(text: str, template: str) -> None:
    with contextlib.suppress(TemplateInvalid, TemplateFailed):
        check_template(template, frozenset({"a", "b"}))
        compile_template(template)(Scope({"a": text, "b": {"a": text}}))
