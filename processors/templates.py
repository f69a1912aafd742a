"""Jinja templates in a sandbox, for the texts that charters write; text from events is only ever a value in them.

The charter's fields check every template when a charter is read; `charter/compiled.py` compiles them for fallback
rules, playbooks and prompts.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from processors.scopes import Scope

MAX_RENDERED_CHARACTERS = 262_144

Render = Callable[[Scope], Any]
_PATH = re.compile(r"[a-z_]+(\.[a-z_]+)*")
_RENDER_ERRORS = (TemplateError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class TemplateInvalid(ValueError):
    """The text is not a template, or names something that is not there."""


class TemplateFailed(Exception):
    """The template is right, but not for this data: a missing key, a wrong type, an endless text."""


class _Environment(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        """A mapping has its keys and nothing else, so that a key called `items` is the key and not a method."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


@cache
def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined, finalize=_plain, keep_trailing_newline=True)
    del environment.filters["random"]  # The same event renders the same text, also in a replay.
    return environment


def _parse(source: str) -> nodes.Template:
    try:
        return _environment().parse(source)
    except TemplateSyntaxError as error:
        raise TemplateInvalid(f"not a template: {error.message} (line {error.lineno} of the text)") from None


def _free_names(source: str) -> set[str]:
    tree = _parse(source)
    try:
        return meta.find_undeclared_variables(tree)
    except TemplateSyntaxError as error:  # filters and tests that are not there
        raise TemplateInvalid(f"not a template: {error.message}") from None


def _is_template(value: str) -> bool:
    return "{{" in value or "{%" in value or "{#" in value


def _texts(value: Any) -> list[str]:
    """All texts inside a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return []


def check_template(value: Any, names: frozenset[str]) -> None:
    """Raise TemplateInvalid unless each text in the JSON value is a template that refers to `names` only."""
    for text in _texts(value):
        unknown = sorted(_free_names(text) - names)
        if unknown:
            known = ", ".join(sorted(names)) or "nothing"
            raise TemplateInvalid(f"unknown name {unknown[0]!r} in template; known here: {known}")


def members(value: Any, *path: str) -> frozenset[str]:
    """The names that the templates in a JSON value read from `path`: of `decision.parameters.text` it is `text`."""
    return frozenset(
        node.attr
        for text in _texts(value)
        if _is_template(text)
        for node in _parse(text).find_all(nodes.Getattr)
        if _path(node.node) == path
    )


def _path(node: nodes.Node) -> tuple[str, ...]:
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        return (*_path(node.node), node.attr)
    return ("",)


def compile_template(value: Any) -> Render:
    """A function that renders the JSON value in a scope, or raises TemplateFailed.

    Texts are templates. A text that is one `{{ expression }}` and nothing else gives the expression's own value, so
    that an amount stays a number; any other text gives a text.
    """
    if isinstance(value, str):
        return _compile_text(value)
    if isinstance(value, Mapping):
        fields = {key: compile_template(item) for key, item in value.items()}
        return lambda scope: {key: render(scope) for key, render in fields.items()}
    if isinstance(value, list | tuple):
        items = [compile_template(item) for item in value]
        return lambda scope: [render(scope) for render in items]
    return lambda scope: value


def _compile_text(source: str) -> Render:
    if not _is_template(source):
        return lambda scope: source
    expression = _single_expression(source)
    if expression is None:
        template = _environment().from_string(source)
        return lambda scope: _bounded(_guarded(template.render, scope))
    evaluate = _environment().compile_expression(expression, undefined_to_none=False)
    path = _PATH.fullmatch(expression)
    return _lookup(expression.split("."), evaluate) if path else lambda scope: _evaluated(evaluate, scope)


def _lookup(path: list[str], evaluate: Callable[..., Any]) -> Render:
    """What most templates are, a path through mappings, is looked up; Jinja says what is wrong with any other."""

    def render(scope: Scope) -> Any:
        value: Any = scope.values
        for name in path:
            if not isinstance(value, dict) or name not in value:
                return _evaluated(evaluate, scope)
            value = value[name]
        return _bounded(_plain(value))

    return render


def _evaluated(evaluate: Callable[..., Any], scope: Scope) -> Any:
    return _bounded(_plain(_guarded(evaluate, scope)))


def _single_expression(source: str) -> str | None:
    stripped = source.strip()
    body = _parse(stripped).body
    parts = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    if len(parts) != 1 or isinstance(parts[0], nodes.TemplateData):
        return None
    return stripped.removeprefix("{{").removesuffix("}}").strip("-+ \n") if stripped.startswith("{{") else None


def _guarded(render: Callable[..., Any], scope: Scope) -> Any:
    try:
        value = render(scope.values)
    except _RENDER_ERRORS as error:
        raise TemplateFailed(str(error)) from None
    if isinstance(value, Undefined):
        raise TemplateFailed(f"{value._undefined_name!r} is not there")
    return value


def _bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_RENDERED_CHARACTERS:
        raise TemplateFailed(f"renders to more than {MAX_RENDERED_CHARACTERS} characters")
    return value
