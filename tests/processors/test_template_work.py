"""The work of templates with hostile data ends at a bound, before it takes time or memory."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors.scopes import Scope
from nightdesk.processors.template_work import MAX_WORK, CountingEnvironment, WorkExceeded, counted
from nightdesk.processors.templates import (
    MAX_RENDERED_CHARACTERS,
    TemplateFailed,
    TemplateInvalid,
    check_template,
    compile_template,
)
from tests.effort import examples

DATA = {
    "n": 10**9,
    "big": 10**40,
    "text": "<" * 300_000,
    "lines": "a\n" * 50_000,
    "words": ["word"] * 3_000,
    "numbers": list(range(50_000)),
    "lists": [[0] * 100] * 300,
    "spec": "{:>999999999}",
    "percent": "%999999999d",
    "named": "%(x)999999999d",
    "star": "%*d",
}
SCOPE = Scope({"event": {"data": DATA}})
D = "event.data"
BOUND = (
    r"takes more work|is wider|bits|from a value|is more than|has more than|recursion depth|not available in templates"
)


@pytest.mark.parametrize(
    "template",
    [
        "{{ '*' * event.data.n }}",
        "x {{ event.data.n * '*' }}",
        "{{ ([1, 2] * event.data.n) | length }}",
        "{{ [event.data.text] * 100000 }}",
        "{{ 2 ** event.data.n }}",
        "{{ event.data.big ** event.data.big }}",
        "{% set ns = namespace(x=7) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(9000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}"
        "{% set ns.x = y %}{% endfor %}{{ ns.x }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%.999999999f' % 1.0 }}",
        "{{ event.data.percent % 1 }}",
        "{{ event.data.named % {'x': 1} }}",
        "{{ event.data.star % (999999999, 1) }}",
        "{{ event.data.percent | format(1) }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ '{:{w}}'.format(1, w=999999999) }}",
        "{{ event.data.spec.format(1) }}",
        "{{ event.data.spec.format_map({}) }}",
        "{{ 'a' | center(event.data.n) }}",
        "{{ 'a'.center(event.data.n) }}",
        "{{ 'a'.ljust(event.data.n) }}",
        "{{ '1'.zfill(event.data.n) }}",
        "{{ ('\t' * 1000).expandtabs(event.data.n) }}",
        "{{ ('\t' * 9000).expandtabs(9000) }}",
        "{{ 'a'.encode().center(event.data.n) | length }}",
        "{{ 1 .to_bytes(event.data.n, 'big') | length }}",
        "{{ event.data.lines | indent(event.data.n) }}",
        "{{ event.data.lines | indent(9000) }}",
        "{{ event.data.lines | indent(event.data.text) }}",
        "{{ event.data.text | replace('', event.data.text) }}",
        "{{ event.data.text.replace('<', event.data.text) }}",
        "{{ event.data.words | join(event.data.text) }}",
        "{{ event.data.text.join(event.data.words) }}",
        "{{ event.data.text | striptags }}",
        "{{ event.data.lists | sum(start=[]) | length }}",
        "{{ event.data.text | wordwrap(1, wrapstring=event.data.text) }}",
        "{{ [1] | batch(event.data.n, 'x') | list }}",
        "{{ [1] | slice(event.data.n) | list }}",
        "{{ {'a': 1} | tojson(indent=event.data.n) }}",
        "{{ event.data.numbers | tojson(indent=9000) }}",
        "{% for a in event.data.numbers %}{% for b in event.data.numbers %}{% endfor %}{% endfor %}",
        "{% for a in event.data.numbers if event.data.numbers == event.data.numbers %}{% endfor %}",
        "{% for a in event.data.numbers %}{{ a in event.data.numbers }}{% endfor %}",
        "{% for a in event.data.numbers %}{{ event.data.numbers[1:] | length }}{% endfor %}",
        "{% for a in event.data.numbers %}{{ event.data.text | upper | length }}{% endfor %}",
        "{% for a in event.data.numbers %}{{ event.data.text.find('b') }}{% endfor %}",
        "{% for a in event.data.numbers %}" + "constant text " * 1000 + "{% endfor %}",
        "{{ event.data.numbers | select('in', event.data.numbers) | list | length }}",
        "{{ event.data.numbers | reject('eq', event.data.numbers) | list | length }}",
        "{{ event.data.numbers | map('string') | map('center', 9999) | list | length }}",
        "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
        "{% macro m(n) %}{% if n %}{% set _ = m(n - 1) %}{% set _ = m(n - 1) %}{% endif %}{% endmacro %}{{ m(60) }}",
        "{{ 'a'.translate({97: event.data.text}) }}",
        "{{ ('%s' * 90000) % event.data.numbers }}",
        "{{ ('{}' * 90000).format() }}",
        "{{ event.data.text | list | map('replace', '<', event.data.text) | list | length }}",
    ],
)  # fmt: skip
def test_what_would_take_too_much_fails(template: str) -> None:
    render = compile_template(template)
    with pytest.raises(TemplateFailed, match=BOUND):
        render(SCOPE)


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{{ '-' * 10 }}", "----------"),
        ("{{ '%05.1f' % 3.14159 }} {{ '%s' | format('a') }} {{ '{:>4}'.format(7) }}", "003.1 a    7"),
        ("Order 123456: {{ '%s 99999 (%d)' % ('a', 5) }}", "Order 123456: a 99999 (5)"),
        ("{{ 'a' | center(5) }}|{{ 'a\nb' | indent(2) }}", "  a  |a\n  b"),
        ("{% for w in event.data.words[:3] %}{{ loop.index }}/{{ loop.length }} {% endfor %}", "1/3 2/3 3/3 "),
        ("{{ event.data.words | join(',') | length }}", 14_999),
        ("{% for n in event.data.numbers if n < 3 %}{{ n ~ '.' }}{% endfor %}", "0.1.2."),
        ("{{ event.data.lists | map('sum') | sum }}", 0),
        ("{{ 3 in event.data.numbers and 2 ** 10 == 1024 }}", True),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m(2) }}", "<1><2>"),
        ("{{ range(5) | list }}", [0, 1, 2, 3, 4]),
    ],
)  # fmt: skip
def test_what_people_write_is_rendered(template: str, rendered: Any) -> None:
    assert compile_template(template)(SCOPE) == rendered


@pytest.mark.parametrize(
    "template", ["{{ 'a' | center(999999999) }}", "{{ '%999999999d' % 1 }}", "x{{ 'ab' * 999999999 }}", "{{ 9**9**9 }}"]
)
def test_nothing_is_evaluated_when_a_template_is_only_checked_or_compiled(template: str) -> None:
    check_template(template, frozenset())
    compile_template(template)


@pytest.mark.parametrize(
    "template",
    [
        "{% for x in [1] %}" * 30 + "{% endfor %}" * 30,
        "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
        "{{ " + "-" * 3000 + "1 }}",
    ],
)
def test_a_template_that_python_cannot_compile_is_refused_when_it_is_checked(template: str) -> None:
    with pytest.raises(TemplateInvalid, match="too deep"):
        check_template(template, frozenset())


def test_a_recursive_loop_is_refused() -> None:
    source = "{% for x in event.data.lists recursive %}{{ loop(x) }}{% endfor %}"
    with pytest.raises(TemplateInvalid, match="recursive loop"):
        check_template(source, frozenset({"event"}))


# -- that no rendering does more than was counted

LEAVES = [
    "{{ x }}",
    "{{ event.data.t }}",
    "text",
    "{{ event.data.t | upper }}",
    "{{ x ~ x }}",
    "{{ event.data.t * 3 }}",
]


def _looped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    over = st.sampled_from(
        ["event.data.a", "event.data.b", "range(4)", "(event.data.a + event.data.b)", "event.data.a[1:]"]
    )
    step = "{% set ns.passes = ns.passes + 1 %}"
    loop = st.builds(lambda o, b: f"{{% for x in {o} %}}{step}{b}{{% endfor %}}", over, inner)
    kept = st.builds(lambda b: f"{{% set y %}}{b}{{% endset %}}{{{{ y }}}}{{{{ y | replace('e', y) }}}}", inner)
    return loop | kept | st.builds(str.__add__, inner, inner)


@given(
    body=st.recursive(st.sampled_from(LEAVES), _looped, max_leaves=8),
    a=st.lists(st.integers(0, 99), max_size=40),
    b=st.lists(st.text(max_size=5), max_size=40),
    text=st.text(max_size=300),
)
@settings(max_examples=examples(150), deadline=None)
def test_a_rendering_makes_no_more_steps_and_no_longer_text_than_is_counted(
    body: str, a: list[int], b: list[str], text: str
) -> None:
    source = "{% set x = 1 %}{% set ns = namespace(passes=0) %}" + body + "\x00{{ ns.passes }}"
    template = CountingEnvironment().from_string(source)
    try:
        rendered, work = counted(template.render, {"event": {"data": {"a": a, "b": b, "t": text}}})
    except WorkExceeded:
        return
    assert int(rendered.rpartition("\x00")[2]) <= work.done <= MAX_WORK
    assert len(rendered) <= 16 * work.done + len(source)


def test_a_text_that_is_too_long_fails_at_its_own_bound() -> None:
    render = compile_template("{{ 'a' * 99999 }}{{ 'a' * 99999 }}{{ 'a' * 99999 }}")
    with pytest.raises(TemplateFailed, match=str(MAX_RENDERED_CHARACTERS)):
        render(SCOPE)


@pytest.mark.parametrize("more", ["{{ x }}" * 50, "text " * 500])
def test_a_pass_through_a_loop_costs_what_its_body_has(more: str) -> None:
    def work_of(body: str) -> int:
        template = CountingEnvironment().from_string("{% for x in range(100) %}" + body + "{% endfor %}")
        return counted(template.render)[1].done

    assert work_of(more) > work_of("{{ x }}") + 100 * 40


def test_nothing_but_what_jinja_has_and_methods_can_be_called() -> None:
    """Every other value is refused by its type, whoever put it there."""
    environment = CountingEnvironment()
    assert all(environment._is_callable(function) for function in environment.globals.values())
    for value in (len, int, object(), lambda: 1, test_nothing_but_what_jinja_has_and_methods_can_be_called):
        assert environment._is_callable(value) is False
