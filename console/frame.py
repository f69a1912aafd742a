"""What every page uses: the visit of a person, and the template or its JSON form.

Every page has a second address that ends in `.json`. Both show the same value, so a script sees what a person sees.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic_core import to_jsonable_python

from nightdesk.console.ascii_json import AsciiJson
from nightdesk.console.formats import FILTERS, shown
from nightdesk.console.limits import Limit
from nightdesk.console.logins import Logins
from nightdesk.console.recent import Recent
from nightdesk.console.replays import Runs
from nightdesk.console.sessions import COOKIE, Sessions
from nightdesk.console.settings import ConsoleSettings
from nightdesk.console.signatures import Seen
from nightdesk.console.visitors import Forbidden, Role, Visitor, Visitors
from nightdesk.operations.attention import NeedsAPerson
from nightdesk.operations.dead_letters.handling import DeadLetterQueue
from nightdesk.operations.identity_provider import IdentityProvider
from nightdesk.operations.installation import Installation

JSON_FORM = ".json"
NEEDS_ARE_KEPT_S = 5.0
# The most within so many seconds: wrong tokens from one address, and changes by one person.
WRONG_LOGINS = (20, 60.0)
CHANGES = (120, 60.0)
TEMPLATES = Path(__file__).parent / "templates"

Endpoint = TypeVar("Endpoint", bound=Callable[..., Response])


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of the navigation. `key` opens it after `g`. With `every_agent` only persons whose role is for every
    agent see it.
    """

    name: str
    title: str
    key: str
    router: APIRouter
    every_agent: bool = False

    @property
    def path(self) -> str:
        return f"/{self.name}"


@dataclass(frozen=True, slots=True)
class Console:
    """What all pages use."""

    installation: Installation
    dead_letters: DeadLetterQueue
    settings: ConsoleSettings
    visitors: Visitors
    sessions: Sessions
    pages: tuple[Page, ...]
    templates: Environment
    provider: IdentityProvider | None = None
    logins: Logins = field(default_factory=Logins)
    wrong_logins: Limit = field(default_factory=lambda: Limit(*WRONG_LOGINS))
    changes: Limit = field(default_factory=lambda: Limit(*CHANGES))
    runs: Runs = field(default_factory=Runs)
    seen_signatures: Seen = field(default_factory=Seen)
    needs: Recent[NeedsAPerson] = field(default_factory=lambda: Recent(NEEDS_ARE_KEPT_S))

    def with_token(self, request: Request, token: str) -> Visitor | None:
        """The person who has this token. Raises `TooMany` after many wrong ones from the same address."""
        address = "" if request.client is None else request.client.host
        self.wrong_logins.check(address)
        found = self.visitors.with_token(token)
        if found is None:
            self.wrong_logins.take(address)
        return found

    def render(self, template: str, **values: Any) -> str:
        return self.templates.get_template(template).render(pages=self.pages, **values)


class LoginNeeded(Exception):
    """Nobody is logged in."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person who is logged in. `csrf` is empty if a token came with it instead of a cookie."""

    request: Request
    console: Console
    visitor: Visitor
    csrf: str
    now: datetime

    @property
    def wants_json(self) -> bool:
        return self.request.url.path.endswith(JSON_FORM)

    def show(self, template: str, view: Any, status: int = HTTPStatus.OK) -> Response:
        """The value as a page, or as JSON."""
        if self.wants_json:
            return AsciiJson(to_jsonable_python(view, inf_nan_mode="null"), status)
        return HTMLResponse(self.console.render(template, visit=self, view=view, request=self.request), status)

    def done(self, path: str) -> Response:
        """The answer after a change: a redirect to a page, which can be loaded again without repeating the change. A
        script gets the address of that page.
        """
        if self.wants_json:
            return AsciiJson({"done": True, "page": self.console.settings.address + path}, HTTPStatus.ACCEPTED)
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def new_templates() -> Environment:
    """The templates. They escape texts, and a misspelled name in a template is an error."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(FILTERS)
    return templates


def page(router: APIRouter, path: str) -> Callable[[Endpoint], Endpoint]:
    """Register an endpoint as a page and as JSON. The JSON route comes first, because an id in a path matches any
    text.
    """

    def register(endpoint: Endpoint) -> Endpoint:
        router.get(path + JSON_FORM)(endpoint)
        router.get(path)(endpoint)
        return endpoint

    return register


def changing(router: APIRouter, path: str) -> Callable[[Endpoint], Endpoint]:
    """Register an endpoint that changes something, for forms and, with `.json` behind it, for scripts."""

    def register(endpoint: Endpoint) -> Endpoint:
        router.post(path + JSON_FORM)(endpoint)
        router.post(path)(endpoint)
        return endpoint

    return register


def console_of(request: Request) -> Console:
    found = request.app.state.console
    assert isinstance(found, Console)
    return found


def visit(request: Request) -> Visit:
    """The visit of whoever is logged in by cookie or by a token in the request. Raises `LoginNeeded`."""
    console, now = console_of(request), datetime.now(UTC)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (visitor := console.with_token(request, token.strip())) is not None:
        return Visit(request, console, visitor, "", now)
    session = console.sessions.find(request.cookies.get(COOKIE, ""), now)
    if scheme or session is None:
        raise LoginNeeded
    return Visit(request, console, session.visitor, session.csrf, now)


Visiting = Annotated[Visit, Depends(visit)]


async def change(visit: Visiting, csrf: Annotated[str, Form()] = "") -> Visit:
    """A visit that may change something, because the form came from one of our own pages. Raises `Forbidden`."""
    visit.request.state.form = {
        name: str(value) for name, value in (await visit.request.form()).items() if name != "csrf"
    }
    if visit.csrf and not hmac.compare_digest(visit.csrf.encode(), csrf.encode()):
        raise Forbidden("the form is not from this session: load the page again")
    visit.console.changes.take(visit.visitor.name)
    return visit


Changing = Annotated[Visit, Depends(change)]


def everything(visit: Visiting) -> Visit:
    """A visit to a page whose content cannot be divided by agents. Raises `Forbidden`."""
    visit.visitor.check(Role.viewer)
    return visit


SeeingEverything = Annotated[Visit, Depends(everything)]
