"""Builds the console: the checks around it, the pages, the static files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from nightdesk.console import catalog
from nightdesk.console.failures import add_failures
from nightdesk.console.frame import Console, new_templates
from nightdesk.console.pages import letter_orders, login, outside_answers, questions, what_if
from nightdesk.console.requests import RequestChecks
from nightdesk.console.sessions import Sessions
from nightdesk.console.settings import ConsoleSettings
from nightdesk.console.token_file import read_visitors
from nightdesk.console.visitors import Visitors, whoever_starts_it
from nightdesk.operations.dead_letters.handling import DeadLetterQueue
from nightdesk.operations.identity_provider import IdentityProvider
from nightdesk.operations.installation import Installation
from nightdesk.operations.persons import Person
from nightdesk.operations.settings import PersonSettings

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class BuiltConsole:
    """The application, and the link by which the person who started it logs in; empty if there is a token file."""

    app: FastAPI
    link: str


def build(
    installation: Installation, dead_letters: DeadLetterQueue, settings: ConsoleSettings, person: PersonSettings
) -> BuiltConsole:
    """Makes no connection. Raises `Failure` for settings with which the console must not start."""
    settings.check()
    visitors, link = _visitors(settings, person)
    provider = IdentityProvider(settings.oidc, settings.address + login.RETURNS_TO) if settings.oidc.issuer else None
    console = Console(
        installation, dead_letters, settings, visitors, Sessions(), catalog.PAGES, new_templates(), provider
    )
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.console = console
    add_failures(app)
    app.add_middleware(RequestChecks, hosts=settings.hosts, is_encrypted=settings.is_encrypted)
    app.get("/healthz")(_healthy)
    app.get("/")(_first_page)
    app.include_router(login.router)
    app.include_router(letter_orders.router)
    app.include_router(outside_answers.router)
    app.include_router(questions.router)
    app.include_router(what_if.router)
    for page in catalog.PAGES:
        app.include_router(page.router)
    app.mount("/static", StaticFiles(directory=STATIC))
    return BuiltConsole(app, link)


def serve(app: FastAPI, settings: ConsoleSettings) -> None:
    """Answer requests until SIGTERM. Addresses are not logged, because the link to log in has a token."""
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )


def _visitors(settings: ConsoleSettings, person: PersonSettings) -> tuple[Visitors, str]:
    if settings.token_file is not None:
        return read_visitors(settings.token_file), ""
    visitors, token = whoever_starts_it(settings, Person.of(person))
    return visitors, f"{settings.address}/login?token={token}"


def _healthy() -> PlainTextResponse:
    return PlainTextResponse("ok\n")


def _first_page() -> RedirectResponse:
    return RedirectResponse(catalog.PAGES[0].path)
