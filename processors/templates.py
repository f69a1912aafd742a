"""Jinja templates in a sandbox, for the texts of charters; text from events is always a value in them and never a
template.

The charter's fields check every template when a charter is read; `charter/compiled.py` compiles them for fallback
rules, playbooks and prompts.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, Undefined, meta, nodes

from nightdesk.processors import template_work
from nightdesk.processors.json_values import NotJson, as_json
from nightdesk.processors.scopes import Scope
from nightdesk.processors.sizes import MAX_SIZE
from nightdesk.processors.template_syntax import TemplateInvalid as TemplateInvalid
from nightdesk.processors.template_syntax import compiled, environment, parse
from nightdesk.processors.template_work import counted

MAX_RENDERED_CHARACTERS = 262_144
MAX_REASON_CHARACTERS = 500

Render = Callable[[Scope], Any]
_PATH = re.compile(r"[a-z_]+(\.[a-z_]+)*")
_RENDER_ERRORS = (
    TemplateError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, AssertionError,
)  # fmt: skip


class TemplateFailed(Exception):
    """The template is valid, but not for this data: a missing key, a wrong type, too much work."""


def _free_names(source: str) -> set[str]:
    tree = parse(source)
    try:
        return meta.find_undeclared_variables(tree)
    except TemplateSyntaxError as error:  # unknown filters and tests
        raise TemplateInvalid(f"not a template: {error.message}") from None


def _is_template(value: str) -> bool:
    return "{{" in value or "{%" in value or "{#" in value


def _texts(value: Any) -> list[str]:
    """All strings in a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return []


def check_template(value: Any, names: frozenset[str]) -> None:
    """Raise `TemplateInvalid` unless each string in the JSON value is a template that refers to `names` only."""
    for text in _texts(value):
        unknown = sorted(_free_names(text) - names)
        if unknown:
            known = ", ".join(sorted(names)) or "nothing"
            raise TemplateInvalid(f"unknown name {unknown[0]!r} in template; known names: {known}")
        _compile_text(text)


def safe_elements(value: Any) -> int:
    """The number of elements in each collection with which the templates in a JSON value can always be rendered."""
    return min(
        (template_work.safe_elements(parse(text)) for text in _texts(value) if _is_template(text)), default=MAX_SIZE
    )


def members(value: Any, *path: str) -> frozenset[str]:
    """The names that the templates in a JSON value read from `path`: of `decision.parameters.text` it is `text`."""
    return frozenset(
        node.attr
        for text in _texts(value)
        if _is_template(text)
        for node in parse(text).find_all(nodes.Getattr)
        if _path(node.node) == path
    )


def _path(node: nodes.Node) -> tuple[str, ...]:
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        return (*_path(node.node), node.attr)
    return ("",)


def compile_template(value: Any) -> Render:
    """A function that renders the JSON value in a scope, or raises `TemplateFailed`. Its result is JSON too.

    Strings are templates. A string that consists of one `{{ expression }}` becomes the expression's own value, so an
    amount stays a number; any other string becomes a string.
    """
    render = _compile(value)

    def rendered(scope: Scope) -> Any:
        try:
            return as_json(render(scope))
        except NotJson as error:
            raise TemplateFailed(_one_line(error)) from None

    return rendered if any(map(_is_template, _texts(value))) else render


def _compile(value: Any) -> Render:
    if isinstance(value, str):
        return _compile_text(value)
    if isinstance(value, Mapping):
        fields = {key: _compile(item) for key, item in value.items()}
        return lambda scope: {key: render(scope) for key, render in fields.items()}
    if isinstance(value, list | tuple):
        items = [_compile(item) for item in value]
        return lambda scope: [render(scope) for render in items]
    return lambda scope: value


def _compile_text(source: str) -> Render:
    if not _is_template(source):
        return lambda scope: source
    expression = _single_expression(source)
    if expression is None:
        template = compiled(environment().from_string, source)
        return lambda scope: _bounded(_guarded(template.render, scope))
    evaluate = compiled(environment().compile_expression, expression, undefined_to_none=False)
    path = _PATH.fullmatch(expression)
    return _lookup(expression.split("."), evaluate) if path else lambda scope: _evaluated(evaluate, scope)


def _lookup(path: list[str], evaluate: Callable[..., Any]) -> Render:
    """Looks up a plain path through mappings, which most templates are; Jinja renders the others and reports errors."""

    def render(scope: Scope) -> Any:
        value: Any = scope.values
        for name in path:
            if not isinstance(value, dict) or name not in value:
                return _evaluated(evaluate, scope)
            value = value[name]
        return _bounded(value)

    return render


def _evaluated(evaluate: Callable[..., Any], scope: Scope) -> Any:
    return _bounded(_guarded(evaluate, scope))


def _single_expression(source: str) -> str | None:
    stripped = source.strip()
    body = parse(stripped).body
    parts = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    if len(parts) != 1 or isinstance(parts[0], nodes.TemplateData):
        return None
    return stripped.removeprefix("{{").removesuffix("}}").strip("-+ \n") if stripped.startswith("{{") else None


def _guarded(render: Callable[..., Any], scope: Scope) -> Any:
    try:
        value, _ = counted(render, scope.values)
    except _RENDER_ERRORS as error:
        raise TemplateFailed(_one_line(error)) from None
    if isinstance(value, Undefined):
        raise TemplateFailed(f"{value._undefined_name!r} is missing")
    return value


def _one_line(error: Exception) -> str:
    """What is wrong, as a text that any record takes: it may quote the data."""
    reason = (str(error) or type(error).__name__)[:MAX_REASON_CHARACTERS]
    return reason.encode(errors="backslashreplace").decode()


def _bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_RENDERED_CHARACTERS:
        raise TemplateFailed(f"renders to more than {MAX_RENDERED_CHARACTERS} characters")
    return value
