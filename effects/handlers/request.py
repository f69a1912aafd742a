"""Builds the request of a step from its values, or the reason why it cannot be built. No I/O.

There is one `RequestTemplate` for each handler of a charter, and one request for each call.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from yarl import URL

from nightdesk.processors.charter.handlers import HttpHandler, path_variables
from nightdesk.processors.scopes import Scope
from nightdesk.processors.templates import Render, TemplateFailed, compile_template

MAX_BODY_BYTES = 1_000_000
MAX_PATH_CHARACTERS = 2000
_DOT_SEGMENT = re.compile(r"(^|[/\\])\.\.?($|[/\\])")
_SLASHES = re.compile(r"[/\\]{2}|\\")


class RequestRefused(ValueError):
    """No request can be built from these values; the message names the wrong one."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request, without its headers."""

    method: str
    url: URL
    body: bytes | None


class RequestTemplate:
    """A handler's method, path and body template. Raises `RequestRefused` for a path outside its base."""

    def __init__(self, handler: HttpHandler, base: URL) -> None:
        _check_path(_unquoted(handler.path))
        self._method = handler.method
        self._variables = path_variables(handler.path)
        self._base = str(base).rstrip("/")
        self._path = handler.path
        self._fixed_url = None if self._variables else URL(self._base + handler.path, encoded=True)
        self._body: Render | None = None if handler.body is None else compile_template(handler.body)

    def fill(self, values: Mapping[str, Any]) -> Request:
        """The request for a step's values. Raises `RequestRefused`."""
        url = self._fixed_url or self._url(values)
        rest = {name: value for name, value in values.items() if name not in self._variables}
        if self._body is not None:
            return Request(self._method, url, _json(self._render(values)))
        if self._method == "GET":
            return Request(self._method, url.with_query(_query(rest)) if rest else url, None)
        return Request(self._method, url, _json(rest) if rest or self._method != "DELETE" else None)

    def _url(self, values: Mapping[str, Any]) -> URL:
        path = self._path
        for name in self._variables:
            path = path.replace(f"{{{name}}}", _path_value(name, values.get(name)))
        if len(path) > MAX_PATH_CHARACTERS:
            raise RequestRefused(f"the path has more than {MAX_PATH_CHARACTERS} characters")
        return URL(self._base + path, encoded=True)

    def _render(self, values: Mapping[str, Any]) -> Any:
        assert self._body is not None
        try:
            return self._body(Scope({"parameters": values}))
        except TemplateFailed as error:
            raise RequestRefused(f"body: {error}") from None


def _unquoted(path: str) -> str:
    """A charter's own path is ASCII without escapes, so that the path in the file is the path that is sent."""
    if "%" in path or not path.isascii():
        raise RequestRefused(f"path {path!r}: write it in ASCII without % escapes; variables are escaped for you")
    return path


def _check_path(path: str) -> None:
    if not path.startswith("/") or _SLASHES.search(path) or _DOT_SEGMENT.search(path):
        raise RequestRefused(f"path {path!r} leaves the connection's base_url")


def _path_value(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RequestRefused(f"{name!r} is part of the path and is not a string or a whole number")
    text = str(value)
    # Some servers unescape %2F before they resolve dots, so escaping alone is not enough.
    if not text or not text.isprintable() or _DOT_SEGMENT.search(text):
        raise RequestRefused(f"{name!r} is part of the path and is empty, unprintable or leaves the path")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise RequestRefused(f"{name!r} is part of the path and is not valid Unicode") from None


def _query(values: Mapping[str, Any]) -> dict[str, str]:
    query = {}
    for name, value in values.items():
        if value is None:
            continue
        if not isinstance(value, str | int | float):
            raise RequestRefused(f"{name!r} is part of the query of a GET and is a list or an object")
        query[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return query


def _json(value: Any) -> bytes:
    try:
        body = orjson.dumps(value)
    except (TypeError, ValueError) as error:
        raise RequestRefused(f"the body is no JSON: {error}") from None
    if len(body) > MAX_BODY_BYTES:
        raise RequestRefused(f"the body has {len(body)} bytes, {MAX_BODY_BYTES} are allowed")
    return body
