"""Every filter, test, attribute and method that a template can reach has a cost rule that is charged before it runs."""

import inspect
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import Undefined
from markupsafe import Markup

from nightdesk.processors.scopes import Scope
from nightdesk.processors.template_charges import charge, counted
from nightdesk.processors.template_filters import FILTERS
from nightdesk.processors.template_methods import ATTRIBUTES, METHODS
from nightdesk.processors.template_tests import TESTS
from nightdesk.processors.template_work import CountingEnvironment
from nightdesk.processors.templates import TemplateFailed, TemplateInvalid, check_template, compile_template

NOW = datetime(2026, 11, 28, tzinfo=UTC)
PLAIN = ["text", Markup("text"), 7, 7.0, True, ["a"], ("a",), {"a": 1}, NOW, NOW.date(), NOW.time(), timedelta(1)]
MEGABYTES_AT_MOST = 20


def test_there_are_no_filters_and_tests_without_a_rule() -> None:
    environment = CountingEnvironment()
    assert {name for name in environment.filters if " " not in name} == set(FILTERS)
    assert set(environment.tests) == TESTS
    assert set(JINJA_FILTERS) - set(FILTERS) == {"random", "pprint", "urlize"}, "a new filter: give it a rule"


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_rule_takes_what_its_filter_takes(name: str) -> None:
    function = JINJA_FILTERS[name]
    parameters = list(inspect.signature(function).parameters.values())
    wanted = parameters[2 if parameters[0].name in ("environment", "env", "eval_ctx", "context") else 1 :]
    rule = list(inspect.signature(FILTERS[name]).parameters.values())
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in rule):
        return
    assert [(p.name, p.default is p.empty) for p in rule[1:]] == [(p.name, p.default is p.empty) for p in wanted]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_what_a_value_has_in_templates_has_a_rule_or_is_plain(value: Any) -> None:
    environment = CountingEnvironment()
    for name in dir(value):
        if name in ("format", "format_map") and isinstance(value, str):
            continue  # checked where the sandbox wraps them
        for found in (environment.getattr(value, name), environment.getitem(value, name)):
            if isinstance(found, Undefined):
                continue
            kind = next(kind for kind in METHODS if isinstance(value, kind))
            if callable(found):
                assert name in METHODS[kind]
            else:
                assert any(name in names for kind, names in ATTRIBUTES.items() if isinstance(value, kind))


def _used_up(elements: Any) -> Any:
    for element in elements:
        charge(100_000)
        yield element


@given(st.sampled_from(sorted(FILTERS)))
def test_no_filter_goes_through_what_is_not_charged(name: str) -> None:
    """A thousand times more elements than a rendering may have, behind something that yields them one by one."""
    environment = CountingEnvironment()
    given = [] if name not in ("attr", "batch", "groupby", "replace", "slice") else [1, 1] if name == "replace" else [1]
    context = environment.from_string("").new_context()

    def apply() -> Any:
        return environment.call_filter(name, (element for element in _used_up(range(1000))), given, context=context)

    with pytest.raises(Exception, match="more work"):
        counted(apply)


DATA = {
    "text": "<" * 300_000,
    "mark": '"' * 300_000,
    "feeds": "\x0b" * 300_000,
    "words": ["word"] * 9_000,
    "digits": "1" * 300_000,
    "numbers": list(range(20_000)),
    "texts": ["x" * 50] * 5_000,
    "w": 10**9,
    "near": "b" + "a" * 100_000,
    "far": "a" * 300_000,
    "one": 1,
}
SCOPE = Scope({"event": {"data": DATA, "time": NOW}})


@pytest.mark.parametrize(
    "template",
    [
        "{{ event.data.text | wordwrap(1) | length }}",
        "{{ event.data.text | wordwrap(1, false) | length }}",
        "{{ event.data.numbers | map('string') | join(event.data.text) | length }}",
        "{{ event.data.texts | map('upper') | join(event.data.text) | length }}",
        "{{ event.data.text.join(event.data.words | map('string')) | length }}",
        "{{ event.data.digits | replace(1, event.data.text) | length }}",
        "{{ event.data.digits | replace(old=1, new=event.data.text) | length }}",
        "{{ event.data.text | replace('<', event.data.numbers) | length }}",
        "{{ event.data.texts | map('list') | sum(start=[]) | length }}",
        "{{ event.data.texts | map('list') | list | sum(start=[]) | length }}",
        "{{ [event.data] * 3000 | sum(attribute='numbers', start=[]) | length }}",
        "{{ ('%' ~ event.data.w ~ 'd').encode() % 1 }}",
        "{{ ('%' ~ event.data.w ~ 'd') % 1 }}",
        "{{ '%.000000001000000000f' % 1.0 }}",
        "{{ '{:.000000001000000000f}'.format(1.0) }}",
        "{{ event.data.text.encode('punycode') }}",
        "{{ event.data.text | attr('encode') }}",
        "{{ event.data.text['encode']('punycode') }}",
        "{{ [event.data.text] | map(attribute='encode') | first }}",
        "{{ event.data.feeds | indent(9000) | length }}",
        "{{ event.data.feeds | indent(event.data.text) | length }}",
        "{{ event.data.far.rfind(event.data.near) }}",
        "{{ event.data.far.rsplit(event.data.near) | length }}",
        "{{ event.data.far.strip(event.data.near) | length }}",
        "{{ event.data.far | trim(event.data.near) | length }}",
        "{% for n in range(1000) %}{{ event.data.near[:8000] in event.data.far[:29000] }}{% endfor %}",
        "{% for n in range(1000) %}{{ event.data.far[:29000].find(event.data.near[:8000]) }}{% endfor %}",
        "{{ event.data.numbers | map('counted steps', -100000) | list | length }}",
        "{{ event.data.numbers | map(event.data.w) | list | length }}",
        "{{ event.data.numbers | map(attribute=event.data.text) | list | length }}",
        "{{ event.data.numbers | sort(attribute=event.data.text) | list | length }}",
        "{{ 1 | round(event.data.w, 'ceil') }}",
        "{{ 10 ** 9 | round(0 - event.data.w) }}",
        "{{ 'x' | round(9, 'ceil') }}",
        "{{ event.data.numbers | round(6, 'floor') }}",
        "{{ event.data.texts | map('round', 8, 'ceil') | list }}",
        "{{ ('%' ~ event.data.w ~ 'd') is even }}",
        "{{ ('%' ~ event.data.w ~ 'd') is divisibleby(event.data.one) }}",
        "{{ ['%.999999999f'] | select('odd') | list }}",
        "{{ event.time.strftime(event.data.text) | length }}",
        "{{ (event.data.mark | e) + event.data.mark | length }}" * 9,
        "{{ event.data.text | tojson(indent=event.data.text) | length }}",
        "{{ {'a': event.data.numbers} | tojson(indent=event.data.text) | length }}",
        "{{ event.data.numbers | groupby('x', default=event.data.text) | length }}",
        "{{ event.data['keys']() }}",
        "{{ dict.fromkeys(event.data.numbers) }}",
        "{{ event.data.one.to_bytes(event.data.w, 'big') | length }}",
        "{{ event.data.one.from_bytes([1]) }}",
    ],
)  # fmt: skip
def test_what_would_take_too_much_fails_before_it_takes_memory(template: str) -> None:
    render = compile_template(template)
    tracemalloc.start()
    try:
        with pytest.raises(TemplateFailed):
            render(SCOPE)
        assert tracemalloc.get_traced_memory()[1] < MEGABYTES_AT_MOST * 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("Dear {{ ', '.join(event.data.names|map('title')) }}", "Dear Anna, Ben"),
        ("Dear {{ event.data.names|map('title') }}", "Dear ['Anna', 'Ben']"),
        ("{{ event.data.names | map('title') }}", ["Anna", "Ben"]),
        ("{{ event.data.names | select('eq', 'ben') | list }}", ["ben"]),
        ("{{ event.data.names | reverse }}", ["ben", "anna"]),
        ("{{ event.data.names | unique | join('+') }}", "anna+ben"),
        ("{{ 'a,b'.split(',') }}", ["a", "b"]),
        ("{{ event.data.n | default(20000) }}", 20_000),
        ("{{ missing | default(99999) }}", 99_999),
        ("{{ 'anna' in event.data.names and 'x' not in event.data.names }}", True),
        ("{{ 'nn' in 'anna' }}{{ 'x' not in 'anna' }}", "TrueTrue"),
        ("{% for l in event.data.names %}{{ loop.cycle('odd', 'even') }}{{ loop.last }} {% endfor %}",
         "oddFalse evenTrue "),
        ("{% set j = joiner(', ') %}{% for n in event.data.names %}{{ j() }}{{ n }}{% endfor %}", "anna, ben"),
        ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}", "aba"),
        ("{% for g in event.data.rows | groupby('k') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}", "11"),
        ("{% for k, v in event.data.rows[0] | items %}{{ k }}={{ v }}{% endfor %}", "k=1"),
        ("{{ event.time.strftime('%Y-%m') }} {{ event.time.year }} {{ (event.time - event.time).days }}",
         "2026-11 2026 0"),
        ("{{ '<b>'|e ~ '%s'|format('<') }}", "&lt;b&gt;<"),
        ("{{ ('%s' | safe) | format('<') }}", "&lt;"),
        ("{{ 'one two three' | wordwrap(7) }}", "one two\nthree"),
        ("{{ [1, 2.5] | sum }}", 3.5),
        ("{{ '%s %d %.2f' % (9007199254740993, 9007199254740993, 1.5) }}", "9007199254740993 9007199254740993 1.50"),
        ("{{ '%.2f %s' | format(7, true) }} {{ '{:.1f} {}'.format(7, true) }}", "7.00 True 7.0 True"),
        ("{% macro m(x) %}<{{ caller() }}>{% endmacro %}{% call m(1) %}y{% endcall %}", "<y>"),
        ("{% block b %}z{% endblock %}{{ self.b() }}", "zz"),
        ("{{ 2 ** 53 / 2 }}", 2.0**52),
        ("{{ '12.50' | float * 2 }}", 25.0),
        ("{{ 12345 | round(-2) }}", 12300),
    ],
)  # fmt: skip
def test_what_people_write_is_rendered(template: str, rendered: Any) -> None:
    scope = Scope({"event": {"data": {"names": ["anna", "ben"], "rows": [{"k": 1}], "n": 20_000}, "time": NOW}})
    assert compile_template(template)(scope) == rendered


@pytest.mark.parametrize(
    "template",
    [
        "{{ 1e307 * 100 }}",
        "cost: {{ 1e307 * 100 }}",
        "{{ 'nan' | float }}",
        "cost: {{ event.data.word | float }}",
        "{{ ['inf'] | map('float') | list }}",
        "cost: {{ [1e308, 1e308] | sum }}",
        "{{ (1e307 * 100) | string }}",
        "{{ 1e308 - -1e308 }}",
        "{{ '%s' % (1e307 * 100) }}",
        "{{ (1e307 * 100) > 3 }}",
        "{{ event.data.big * 1.0 }}",
        "{{ event.data.big / 1 }}",
        "{{ 0.5 + event.data.big }}",
        "{{ event.data.big | float }}",
        "{{ event.data.digits | float }}",
        "{{ (event.data.digits ~ '.0') | int }}",
        "{{ event.data.big | round(0, 'ceil') }}",
        "{{ [event.data.big, 0.5] | sum }}",
        "{{ [{'a': event.data.big}, {'a': 1.0}] | sum(attribute='a') }}",
        "{{ [event.data.big] | sum(start=0.0) }}",
        "cost: {{ '%.0f' % event.data.big }}",
        "cost: {{ '%s %.2f' % ('x', event.data.big) }}",
        "cost: {{ '%(a)g' % {'a': event.data.big} }}",
        "cost: {{ '%.2f' | format(event.data.big) }}",
        "cost: {{ '{:.0f}'.format(event.data.big) }}",
        "cost: {{ '{a[0][b]:e}'.format(a=[{'b': event.data.big}]) }}",
        "{{ 2 ** 64 }}",
        "Dear {{ namespace(a=1) }}",
        "Dear {{ range(3) }}",
    ],
)
def test_a_number_that_would_be_another_fails(template: str) -> None:
    data = {"big": 2**53 + 1, "digits": "9007199254740993", "word": "infinity"}
    with pytest.raises(TemplateFailed):
        compile_template(template)(Scope({"event": {"data": data}}))


@pytest.mark.parametrize("template", ["{{ 1e999 }}", "{{ 'a' in 'ab' in 'abc' }}", "{{ 1 < 2 in [2] }}"])
def test_what_templates_do_not_have_is_said_when_they_are_checked(template: str) -> None:
    with pytest.raises(TemplateInvalid, match="line 1"):
        check_template(template, frozenset())


@pytest.mark.parametrize(
    "expression",
    [
        "('x' | center(9999)) | length",
        "'x'.ljust(9999) | length",
        "('x' | indent(9999, true)) | length",
        "('%9999d' % 1) | length",
        "'{:9999}'.format(1) | length",
        "([1] | batch(9999) | list) | length",
        "('a b' | wordwrap(9999)) | length",
        "'a\\tb'.expandtabs(9999) | length",
    ],
)
def test_what_is_within_the_bounds_costs_no_more_than_it_takes(expression: str) -> None:
    """The other side of the bounds: twenty wide lines are no attack."""
    render = compile_template("{% for n in range(20) %}{{ " + expression + " }} {% endfor %}")
    assert len(render(SCOPE).split()) == 20
