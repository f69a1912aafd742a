"""The request that is built from a step's values: nothing in an event leads outside the connection's paths."""

from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from nightdesk.effects.handlers.request import MAX_BODY_BYTES, RequestRefused, RequestTemplate
from nightdesk.processors.charter.handlers import HttpHandler

BASE = URL("https://api.example/v1")


def shape(path: str = "/customers/{customer}/history", **keys: Any) -> RequestTemplate:
    return RequestTemplate(HttpHandler(type="http", connection="x", path=path, **keys), BASE)


@given(st.text() | st.integers())
@example("..")
@example("../../admin")
@example("a/../../b")
@example("..\\admin")
@example("%2e%2e")
@example("%2e%2e%2fadmin")
@example("/")
@example("//evil.example/")
@example("x@evil.example")
@example("x?admin=1#")
@example("x\r\nHost: evil.example")
@example("\ud800")
def test_a_value_stays_one_segment_of_the_path_or_is_refused(value: str | int) -> None:
    try:
        url = shape().fill({"customer": value}).url
    except RequestRefused:
        return
    assert str(url).startswith("https://api.example/v1/customers/")
    assert (url.host, url.raw_query_string, url.raw_fragment) == ("api.example", "", "")
    assert (segments := url.raw_path.split("/"))[:3] == ["", "v1", "customers"]
    assert segments[4:] == ["history"]
    assert unquote(segments[3]) == str(value)
    assert segments[3] not in (".", "..", "")


@pytest.mark.parametrize("value", ["", ".", "..", "a/..", "../x", "x\\..", "a\nb", "\x00", None, True, 1.5, [], {}])
def test_values_that_no_path_can_hold(value: Any) -> None:
    with pytest.raises(RequestRefused, match="customer"):
        shape().fill({"customer": value})


def test_two_harmless_values_do_not_join_to_dots() -> None:
    with pytest.raises(RequestRefused):
        shape("/a/.{x}/b").fill({"x": "."})
    assert shape("/a/{x}-{y}").fill({"x": "1", "y": "{x}"}).url.raw_path == "/v1/a/1-%7Bx%7D"


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "/../x", "/a/../b", "/a/./b", "/a//b", "/a\\b", "/%2e%2e/x", "/a/%2Fb", "/ü"]
)
def test_a_charters_own_path_may_not_lead_away(path: str) -> None:
    handler = HttpHandler(type="http", connection="x", path="/x").model_copy(update={"path": path})
    with pytest.raises(RequestRefused):
        RequestTemplate(handler, BASE)


def test_a_missing_value_is_named() -> None:
    with pytest.raises(RequestRefused, match="customer"):
        shape().fill({})


@pytest.mark.parametrize(
    ("method", "values", "body"),
    [
        ("POST", {"a": 1, "customer": "c"}, b'{"a":1}'),
        ("POST", {"customer": "c"}, b"{}"),
        ("PUT", {"a": [1, {"b": None}], "customer": "c"}, b'{"a":[1,{"b":null}]}'),
        ("DELETE", {"customer": "c"}, None),
        ("DELETE", {"customer": "c", "why": "x"}, b'{"why":"x"}'),
        ("GET", {"customer": "c"}, None),
    ],
)
def test_what_is_not_in_the_path_is_the_body(method: str, values: dict[str, Any], body: bytes | None) -> None:
    assert shape(method=method).fill(values).body == body


@pytest.mark.parametrize("values", [{"x": []}, {"x": {"y": 1}}])
def test_a_query_holds_no_lists(values: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused, match="x"):
        shape("/x", method="GET").fill(values)


def test_a_query_cannot_be_broken_out_of() -> None:
    url = shape("/x", method="GET").fill({"q": "a&admin=1#x", "r&s": "1"}).url
    assert dict(url.query) == {"q": "a&admin=1#x", "r&s": "1"}


@pytest.mark.parametrize("values", [{"x": "y" * MAX_BODY_BYTES}, {"x": 2**70}, {"x": object()}])
def test_bodies_that_are_too_big_or_no_json(values: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused, match="the body"):
        shape("/x").fill(values)


def test_a_body_template_that_fails_is_no_request() -> None:
    with pytest.raises(RequestRefused, match="body"):
        shape("/x", body={"a": "{{ parameters.missing }}"}).fill({})


def test_a_body_template_says_all_of_the_body() -> None:
    request = shape("/x/{id}", body={"only": "{{ parameters.a }}"}).fill({"id": 1, "a": "{{ parameters.id }}", "b": 2})
    assert orjson.loads(request.body or b"") == {"only": "{{ parameters.id }}"}  # a value never becomes a template
