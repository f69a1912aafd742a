"""What is refused before a page sees it, and the headers of every answer: over real HTTP."""

from __future__ import annotations

import httpx2
import pytest

from nightdesk.console.requests import refusal
from tests.console.server import CSRF, RunningConsole, token_of

HOSTS = frozenset({"127.0.0.1:18080", "nightdesk.example.com"})


@pytest.mark.parametrize(
    ("method", "headers", "is_refused"),
    [
        ("GET", {"host": "127.0.0.1:18080"}, False),
        ("GET", {"host": "nightdesk.example.com", "sec-fetch-site": "cross-site"}, False),  # a link in a chat
        ("GET", {"host": "evil.example.com"}, True),
        ("GET", {"host": "127.0.0.1:9999"}, True),
        ("GET", {}, True),
        ("POST", {"host": "127.0.0.1:18080"}, False),
        ("POST", {"host": "127.0.0.1:18080", "origin": "http://127.0.0.1:18080"}, False),
        ("POST", {"host": "127.0.0.1:18080", "origin": "http://evil.example.com"}, True),
        ("POST", {"host": "127.0.0.1:18080", "origin": "null"}, True),
        ("POST", {"host": "127.0.0.1:18080", "sec-fetch-site": "cross-site"}, True),
        ("POST", {"host": "127.0.0.1:18080", "sec-fetch-site": "same-site"}, True),
        ("POST", {"host": "127.0.0.1:18080", "sec-fetch-site": "same-origin"}, False),
        ("DELETE", {"host": "evil.example.com"}, True),
    ],
)
def test_a_request_of_another_host_or_under_another_name_is_refused(
    method: str, headers: dict[str, str], is_refused: bool
) -> None:
    assert (refusal(method, headers, HOSTS) is not None) is is_refused


def test_nobody_sees_anything_without_a_token(console: RunningConsole) -> None:
    for path in ("/tonight", "/cases", "/cases/some-case", "/tonight/attention"):
        asked = httpx2.get(console.url + path)
        assert asked.status_code == 303
        assert asked.headers["location"] == f"/login?next={path}"
        assert httpx2.get(f"{console.url}{path}.json").status_code == 401
    assert httpx2.get(console.url + "/cases.json", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert console.get("/cases.json").status_code == 200


def test_a_name_that_is_not_ours_is_refused(console: RunningConsole) -> None:
    headers = {"Host": "evil.example.com", "Authorization": f"Bearer {token_of('vera')}"}
    assert httpx2.get(console.url + "/cases.json", headers=headers).status_code == 421


def test_a_person_comes_in_by_a_form_or_a_link_and_goes_out(console: RunningConsole) -> None:
    with httpx2.Client(base_url=console.url) as client:
        assert client.post("/login", data={"token": "wrong"}).status_code == 403
        assert client.get("/login", params={"token": "wrong"}).headers["location"] == "/login"
        entered = client.get("/login", params={"token": token_of("ada"), "next": "/cases"})
        assert entered.headers["location"] == "/cases"
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        page = client.get("/cases")
        assert "ada" in page.text
        found = CSRF.search(page.text)
        assert found is not None
        assert client.post("/logout", data={"csrf": found[1]}).headers["location"] == "/login"
        assert client.get("/cases").status_code == 303


@pytest.mark.parametrize("elsewhere", ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com", ""])
def test_a_link_leads_nowhere_else_after_the_login(console: RunningConsole, elsewhere: str) -> None:
    entered = httpx2.post(console.url + "/login", data={"token": token_of("ada"), "next": elsewhere})
    assert entered.headers["location"] == "/"


def test_a_change_needs_a_form_of_the_session(console: RunningConsole) -> None:
    with console.browser("ada") as ada, console.browser("bob") as bob:
        for csrf in ("", "wrong", bob.csrf()):
            refused = ada.client.post("/logout", data={"csrf": csrf})
            assert refused.status_code == 403
            assert "load the page again" in refused.text
        assert ada.get("/cases").status_code == 200, "nobody was logged out"
        cross = {"Origin": "https://evil.example.com"}
        assert ada.client.post("/logout", data={"csrf": ada.csrf()}, headers=cross).status_code == 403


def test_no_answer_allows_code_of_others(console: RunningConsole) -> None:
    for path in ("/login", "/cases", "/nothing", "/static/console.js"):
        headers = console.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers
    assert console.get("/cases").headers["cache-control"] == "no-store"


def test_an_error_gives_the_request_as_a_command(console: RunningConsole) -> None:
    with console.browser() as browser:
        page = browser.get("/cases?status=wrong&q=it's")
        assert page.status_code == 400
        assert "there is no status wrong" in page.text
        assert "curl --oauth2-bearer" in page.text
    problem = console.get("/cases.json?status=wrong&q=it's").json()
    url = f"{console.url}/cases.json?status=wrong&q=it's"
    assert problem["command"].startswith('curl --oauth2-bearer "$NIGHTDESK_CONSOLE_TOKEN" ')
    assert problem["command"].endswith(url.replace("'", "'\"'\"'") + "'")
    assert token_of("vera") not in problem["command"]


def test_kafka_that_is_away_does_not_hide_the_rest(console: RunningConsole) -> None:
    assert console.get("/tonight.json").status_code == 200
