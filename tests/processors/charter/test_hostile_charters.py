"""Whatever a charter contains, reading it ends in findings with line numbers and never in another exception."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nightdesk.processors.charter import CharterInvalid, compile_charter, parse_charter
from nightdesk.processors.charter.parsing import charter_from_json, charter_to_json, named_files
from nightdesk.processors.charter.problems import Problem
from nightdesk.processors.charter.warnings import warnings_for
from nightdesk.processors.expressions import ExpressionInvalid, compile_expression
from nightdesk.processors.scopes import EVENT, Scope
from nightdesk.processors.templates import TemplateFailed, TemplateInvalid, check_template, compile_template
from tests.effort import examples
from tests.processors.examples import CHARTER, FILES, changed

WHEN = 'event.data.status == "open"'
REASONING = '"asks for {{ event.subject }}"'
DESCRIPTION = "Answers tickets."


def _findings(text: str) -> tuple[Problem, ...]:
    """Everything that `nightdesk charter check` does with a text, and that a worker does with a valid charter."""
    named_files(text)
    try:
        charter = parse_charter(text, FILES)
    except CharterInvalid as error:
        return error.problems
    compile_charter(charter_from_json(charter_to_json(charter)))
    return warnings_for(charter, text)


def _line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


SCALARS = [
    "!!int 0x10",
    "!!int ''",
    "!!int 1.5",
    "!!int abc",
    "!!float abc",
    "!!float ''",
    "!!float 1_0",
    "!!bool abc",
    "!!null abc",
    "!!int [1]",
    "!!str {a: 1}",
    "!!map [1]",
    "!!seq {a: 1}",
    "!!set {a}",
    "!!omap [a: 1]",
    "!!binary aGk=",
    "!!timestamp 2001-01-01",
    "!!python/object:os.system {}",
    "!other {a: 1}",
    "!other [1]",
    "!other a",
    r'"\U00110000"',
    r'"\UFFFFFFFF"',
    r'"\ud800"',
    r'"a\udfffb"',
    r'{"\ud800": 1}',
    r'"\uD83D\uDE00"',
    r'"\x"',
    r'"\q"',
    "!!int 99999999999999999999",
    "!!float 1e999",
    "!!float .inf",
    "!!float .nan",
    "9" * 5000,
    "[" * 3000,
    "{" * 3000,
    "- " * 3000,
    "&a b",
    "*a",
    "<<: 1",
    "? [1]",
    "%",
    "@",
    "`",
    "\t",
    "!<>",
    "!!",
    "!<tag:yaml.org,2002:int> a",
]


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda scalar: scalar[:30])
def test_a_value_that_cannot_be_read_is_a_finding_in_its_line(scalar: str) -> None:
    text = changed((f"description: {DESCRIPTION}", f"description: {scalar}"))
    findings = _findings(text)
    assert findings
    assert findings[0].line in (_line_of(text, "description"), _line_of(text, "description") + 1)


@pytest.mark.parametrize(
    "directive", [f"%YAML {'9' * 5000}.1", f"%YAML 1.{'9' * 5000}", "%YAML 2.1", "%YAML x", "%TAG ! !", "%FOO"]
)
def test_a_directive_is_a_finding_or_nothing(directive: str) -> None:
    findings = _findings(f"{directive}\n---\n{CHARTER}")
    assert all(finding.line <= 2 for finding in findings) or directive == "%TAG ! !"


EXPRESSIONS = [
    "event.data.a.matches(b'ä')",
    "event.data.a.matches(b'a')",
    "event.data.a.matches('(')",
    "event.data.a.matches('a{2,1}')",
    "event.data.a.matches('(?=a)')",
    "event.data.a.matches('[')",
    "event.data.a.matches(r'\\\\1')",
    "event.data.a.matches('a{99999999999}')",
    f"event.data.a.matches('a{{{'9' * 5000}}}')",
    "event.data.a.matches()",
    f"event.data.a.matches('{'(' * 3000}')",
    "matches('(', '(')",
    f"{'[' * 3000}{']' * 3000}",
    f"{'(' * 3000}1{')' * 3000}",
    f"1{'+1' * 4000}",
    f"1{'+1' * 200_000}",
    f"event{'.a' * 4000}",
    f"event{'.a' * 200_000}",
    f"{'!' * 200_000}true",
    f"{'!' * 3000}true",
    f"{'-' * 3000}1",
    "true" + " && true" * 1000,
    f"event{'[0]' * 3000}",
    "true ? " * 500,
    f"event.data == {'9' * 5000}",
    "event.a.map(x, x)" * 100,
    "",
    "event.data.a == '\\\\ud800'",
    "Foo{a: 1}",
    "'",
    "r'''",
    "0x",
    "event.?a",
    "event[?0]",
]


@pytest.mark.parametrize("source", EXPRESSIONS, ids=lambda source: source[:40])
def test_an_expression_that_cannot_be_compiled_is_a_finding_in_its_line(source: str) -> None:
    text = changed((f"when: {WHEN}", f"when: {_quoted(source)}"))
    [finding, *_] = _findings(text)
    assert (finding.line, finding.path) == (_line_of(text, "when:"), "on[0].when")


TEMPLATES = [
    "{% if event %}" * 500 + "{% endif %}" * 500,
    f"{{{{ 1{'+1' * 5000} }}}}",
    f"{{{{ event{'.a' * 5000} }}}}",
    f"{{{{ {'(' * 3000}1{')' * 3000} }}}}",
    f"{{{{ {'[' * 3000}{']' * 3000} }}}}",
    f"{{{{ {'9' * 5000} }}}}",
    r"{{ '\\ud800' }}",
    r"{{ '\\U00110000' }}",
    r"{{ '\\x' }}",
    r"{{ '\\N{x}' }}",
    "{{ event" + "|string" * 3000 + " }}",
    f"{{{{ {'not ' * 3000}1 }}}}",
    f"{{{{ {'-' * 3000}1 }}}}",
    "{% for a in event %}" * 30 + "{% endfor %}" * 30,
    "{% macro a(b, b) %}{% endmacro %}",
    "{{ event(a=1, a=2) }}",
    "{{ event[1:2:3, 4] }}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% from 'x' import y %}",
    "{% extends 'x' %}",
    "{% block a %}{% block a %}{% endblock %}",
    "{{ 1" + " and 1" * 5000 + " }}",
    "{{ 1" + " ~ 1" * 5000 + " }}",
    "{{ 1" + " if 1 else 1" * 3000 + " }}",
    "{% if 1 %}" + "{% elif 1 %}" * 5000 + "{% endif %}",
    "{{ event|none }}",
    "{{ event is none_such }}",
    "{{",
    "{% x %}",
]


@pytest.mark.parametrize("source", TEMPLATES, ids=lambda source: source[:40])
def test_a_template_that_cannot_be_compiled_is_a_finding_in_its_line(source: str) -> None:
    text = changed((REASONING, f'"{source}"'))
    [finding, *_] = _findings(text)
    assert (finding.line, finding.path) == (_line_of(text, "    reasoning:"), "fallback[1].reasoning")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


# -- the same, of whatever comes to mind

PIECES = st.sampled_from(
    [
        "!!int ",
        "!!float ",
        "!!str ",
        "!!null ",
        "!!bool ",
        "!x ",
        '"',
        "'",
        "\\",
        "\\u",
        "\\U",
        "\\x",
        "d800",
        "0011",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ": ",
        "- ",
        "? ",
        "|",
        ">",
        "&a",
        "*a",
        "#",
        "%",
        "@",
        "0x10",
        "1e9",
        ".",
        "-",
        "~",
        "true",
        "\n",
        "\n  ",
        "\t",
        "é",
        "\x85",
        "\u2028",
        "\ufeff",
        "9" * 30,
        "a",
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=20))
@settings(max_examples=examples(300))
@example("\x00")
@example("\ud800")
def test_any_value_is_read_or_found_wrong(value: str) -> None:
    for finding in _findings(CHARTER.replace(DESCRIPTION, value)):
        assert finding.line >= 1
        assert finding.column >= 1


TOKENS = st.sampled_from(
    [
        "event",
        "event.data.a",
        "x",
        ".a",
        ".matches(",
        ".map(x, ",
        "size(",
        "has(",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        "+",
        "-",
        "!",
        "==",
        " in ",
        " and ",
        "&&",
        "||",
        "'(",
        "'",
        '"',
        "b'ä'",
        "r'\\d'",
        "'\\ud800'",
        "'[a'",
        "1",
        "9" * 30,
        "0x",
        "1u",
        "1e",
        "|",
        "|upper",
        "~",
        "(a=1, ",
        "{{ ",
        " }}",
        "{% if event %}",
        "{% endif %}",
        "{% for a in event %}",
        "{% endfor %}",
        "{% set a = ",
        " %}",
        " is defined",
        " not ",
        "*",
        "**",
        "%",
        "/",
        "//",
        "é",
        "\\x",
        "\x00",
    ]
)
SOURCES = st.lists(TOKENS, max_size=14).map("".join)


@given(SOURCES)
@settings(max_examples=examples(500))
def test_any_expression_compiles_or_is_invalid(source: str) -> None:
    _either(lambda: compile_expression(source, EVENT), ExpressionInvalid)


@given(SOURCES | SOURCES.map(lambda inner: "{{ " + inner + " }}"))
@settings(max_examples=examples(500))
def test_any_template_that_is_checked_compiles_and_renders_or_fails(source: str) -> None:
    if _either(lambda: check_template(source, EVENT), TemplateInvalid):
        render = compile_template(source)
        _either(lambda: render(Scope({"event": {"data": {"a": [1, "b"]}}})), TemplateFailed)


def _either(do: Callable[[], object], expected: type[Exception]) -> bool:
    try:
        do()
    except expected:
        return False
    return True
