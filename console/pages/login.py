"""Logs a person in, with a token or by the identity provider, and out."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from nightdesk.console.frame import Changing, Console, console_of
from nightdesk.console.logins import COOKIE as LOGIN_COOKIE
from nightdesk.console.sessions import COOKIE
from nightdesk.console.visitors import Forbidden, Visitor
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.identity_provider import IdentityProvider

router = APIRouter()
AT_PROVIDER = "/login/provider"
RETURNS_TO = "/login/return"


@router.get("/login")
def ask(request: Request, token: str = "", next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """The form to log in. With a token in the address, as in the link that the console prints at its start, it logs in
    at once.
    """
    return _enter(request, token, next) if token else _form(request, next)


@router.post("/login")
def enter(request: Request, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:  # noqa: A002
    return _enter(request, token, next, is_form=True)


@router.get(AT_PROVIDER)
def begin(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Send the browser to the identity provider, with a cookie that says which login this browser began."""
    console = console_of(request)
    login = _provider(console).begin()
    console.logins.begin(login, _own(next), datetime.now(UTC))
    answer = RedirectResponse(login.address, HTTPStatus.SEE_OTHER)
    _set_cookie(console, answer, LOGIN_COOKIE, login.state)
    return answer


@router.get(RETURNS_TO)
def come_back(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
    """Handle a browser that returns from the identity provider. Raises `Forbidden` if the person may not log in."""
    console = console_of(request)
    begun = console.logins.take(state, datetime.now(UTC))
    is_its_own = hmac.compare_digest(request.cookies.get(LOGIN_COOKIE, "").encode(), state.encode())
    if begun is None or not is_its_own:
        raise Forbidden("this browser has not begun this login, or it took too long: log in again")
    if error or not code:
        raise Forbidden("the identity provider did not log you in")
    login, path = begun
    identity = _provider(console).finish(login, code)
    visitor = console.visitors.with_identity(identity)
    if visitor is None:
        raise Forbidden(f"{identity.name} is known to the identity provider, and has no role here")
    answer = _begin_session(console, visitor, path)
    answer.delete_cookie(LOGIN_COOKIE)
    return answer


@router.post("/logout")
def leave(visit: Changing) -> Response:
    visit.console.sessions.end(visit.request.cookies.get(COOKIE, ""))
    answer = visit.done("/login")
    answer.delete_cookie(COOKIE)
    return answer


def _provider(console: Console) -> IdentityProvider:
    if console.provider is None:
        raise Failure("the settings have no identity provider", "Log in with a token", FailureKind.NOT_FOUND)
    return console.provider


def _enter(request: Request, token: str, path: str, is_form: bool = False) -> Response:
    console = console_of(request)
    visitor = console.with_token(request, token)
    if visitor is None:
        return _form(request, path, is_wrong=True) if is_form else RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    return _begin_session(console, visitor, path)


def _begin_session(console: Console, visitor: Visitor, path: str) -> Response:
    answer = RedirectResponse(_own(path), HTTPStatus.SEE_OTHER)
    _set_cookie(console, answer, COOKIE, console.sessions.begin(visitor, datetime.now(UTC)))
    return answer


def _set_cookie(console: Console, answer: Response, name: str, value: str) -> None:
    answer.set_cookie(name, value, httponly=True, samesite="lax", secure=console.settings.is_encrypted)


def _form(request: Request, path: str, is_wrong: bool = False) -> Response:
    console = console_of(request)
    provider = f"{AT_PROVIDER}?{urlencode({'next': _own(path)})}" if console.provider is not None else ""
    view = {"next": _own(path), "is_wrong": is_wrong, "provider": provider}
    status = HTTPStatus.FORBIDDEN if is_wrong else HTTPStatus.OK
    return HTMLResponse(console.render("login.html", visit=None, view=view, request=request), status)


def _own(path: str) -> str:
    """The path if it is one of ours, because a link must not lead elsewhere after the login."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
