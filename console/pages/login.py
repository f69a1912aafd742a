"""Coming in with a token, and going out."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from nightdesk.console.frame import Changing, Console, console_of
from nightdesk.console.sessions import COOKIE

router = APIRouter()


@router.get("/login")
def ask(request: Request, token: str = "", next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """The form; with a token in the address, as the console prints it at its start, nobody has to fill it in."""
    return _enter(console_of(request), token, next) if token else _form(request, next)


@router.post("/login")
def enter(request: Request, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:  # noqa: A002
    console = console_of(request)
    return _enter(console, token, next) if console.visitors.with_token(token) else _form(request, next, is_wrong=True)


@router.post("/logout")
def leave(visit: Changing) -> Response:
    visit.console.sessions.end(visit.request.cookies.get(COOKIE, ""))
    answer = visit.done("/login")
    answer.delete_cookie(COOKIE)
    return answer


def _enter(console: Console, token: str, path: str) -> Response:
    visitor = console.visitors.with_token(token)
    if visitor is None:
        return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    answer = RedirectResponse(_own(path), HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        COOKIE,
        console.sessions.begin(visitor, datetime.now(UTC)),
        httponly=True,
        samesite="lax",
        secure=console.settings.is_encrypted,
    )
    return answer


def _form(request: Request, path: str, is_wrong: bool = False) -> Response:
    view = {"next": _own(path), "is_wrong": is_wrong}
    status = HTTPStatus.FORBIDDEN if is_wrong else HTTPStatus.OK
    return HTMLResponse(console_of(request).render("login.html", visit=None, view=view, request=request), status)


def _own(path: str) -> str:
    """A path of ours: a link must not lead elsewhere after the login."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
