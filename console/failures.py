"""Shows an error as a page with the request as a command, so that the person who is asked for help can repeat it."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from nightdesk.console.ascii_json import AsciiJson
from nightdesk.console.frame import JSON_FORM, LoginNeeded, console_of
from nightdesk.console.limits import TooMany
from nightdesk.console.visitors import Forbidden
from nightdesk.messaging.failures import Failure, FailureKind

log = logging.getLogger(__name__)

STATUSES: Mapping[FailureKind, HTTPStatus] = MappingProxyType(
    {
        FailureKind.FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
        FailureKind.INVALID: HTTPStatus.BAD_REQUEST,
        FailureKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
        FailureKind.UNREACHABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        FailureKind.NOT_READY: HTTPStatus.SERVICE_UNAVAILABLE,
        FailureKind.NOT_CONFIGURED: HTTPStatus.SERVICE_UNAVAILABLE,
        FailureKind.LOST: HTTPStatus.INTERNAL_SERVER_ERROR,
        FailureKind.ACTED_AFTER_STOP: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, what to do about it, and the request as a command."""

    status: int
    error: str
    remedy: str
    command: str


def add_failures(app: FastAPI) -> None:
    """Turn every failure into a page, or into JSON if the address ends in `.json`."""
    app.exception_handler(LoginNeeded)(_log_in)
    app.exception_handler(Failure)(_failure)
    app.exception_handler(Forbidden)(_forbidden)
    app.exception_handler(TooMany)(_too_many)
    app.exception_handler(HTTPException)(_of_http)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(Exception)(_unexpected)


async def _log_in(request: Request, _error: LoginNeeded) -> Response:
    if request.url.path.endswith(JSON_FORM) or "authorization" in request.headers:
        return _show(request, HTTPStatus.UNAUTHORIZED, "nobody is logged in, or the token is not known", "Send a token")
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(asked if request.method == 'GET' else '/')}", HTTPStatus.SEE_OTHER)


async def _failure(request: Request, error: Failure) -> Response:
    return _show(request, STATUSES[error.kind], error.message, error.remedy)


async def _forbidden(request: Request, error: Forbidden) -> Response:
    return _show(request, HTTPStatus.FORBIDDEN, str(error), "Ask the person who maintains the token file")


async def _too_many(request: Request, error: TooMany) -> Response:
    answer = _show(request, HTTPStatus.TOO_MANY_REQUESTS, str(error), "")
    answer.headers["Retry-After"] = str(max(1, round(error.wait_s)))
    return answer


async def _of_http(request: Request, error: HTTPException) -> Response:
    return _show(request, HTTPStatus(error.status_code), str(error.detail), "")


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    return _show(request, HTTPStatus.BAD_REQUEST, f"{first['loc'][-1]}: {first['msg']}", "Correct the address")


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    remedy = "The log of the console has the details"
    return _show(request, HTTPStatus.INTERNAL_SERVER_ERROR, f"unexpected: {type(error).__name__}", remedy)


def _show(request: Request, status: HTTPStatus, error: str, remedy: str) -> Response:
    console = console_of(request)
    form = getattr(request.state, "form", {})
    problem = Problem(status, error, remedy, as_command(request, console.settings.address, form))
    if request.url.path.endswith(JSON_FORM) or "authorization" in request.headers:
        return AsciiJson(asdict(problem), status)
    return HTMLResponse(console.render("error.html", visit=None, view=problem, request=request), status)


def as_command(request: Request, address: str, form: Mapping[str, str]) -> str:
    """The request for a shell, with the token from a variable, so that nobody copies a secret with it."""
    path = request.url.path
    if request.method == "GET" and not path.endswith(JSON_FORM):
        path += JSON_FORM
    url = address + quote(path) + (f"?{request.url.query}" if request.url.query else "")
    fields = "".join(f" --data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in form.items())
    method = "" if request.method == "GET" else f" -X {request.method}"
    return f'curl --oauth2-bearer "$NIGHTDESK_CONSOLE_TOKEN"{method}{fields} {shlex.quote(url)}'
