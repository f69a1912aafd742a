"""The console as a browser meets it: over HTTP, on a port of its own."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
import yaml

from nightdesk.console.app import build
from nightdesk.console.settings import ConsoleSettings
from nightdesk.console.visitors import digest
from nightdesk.local.ports import claim_port
from nightdesk.operations.dead_letters.handling import DeadLetterQueue
from nightdesk.operations.settings import OidcSettings
from nightdesk.settings import Settings

STARTS_WITHIN_S = 30.0
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
# Person -> role and agents.
PERSONS: dict[str, tuple[str, list[str]]] = {
    "vera": ("viewer", []),
    "ada": ("approver", []),
    "bob": ("approver", []),
    "otto": ("operator", []),
    "nele": ("operator", ["nightly"]),
}


@dataclass(frozen=True, slots=True)
class RunningConsole:
    """A console with the persons of `PERSONS`; the token of each is `token-of-NAME`."""

    url: str
    settings: ConsoleSettings

    def get(self, path: str, person: str = "vera") -> httpx2.Response:
        """A page or its twin, as a script asks for it: with a token."""
        return httpx2.get(self.url + path, headers={"Authorization": f"Bearer {token_of(person)}"}, timeout=60)

    @contextmanager
    def browser(self, person: str = "vera") -> Iterator[Browser]:
        """A person who has logged in."""
        with httpx2.Client(base_url=self.url, timeout=60) as client:
            entered = client.post("/login", data={"token": token_of(person)})
            assert entered.status_code == 303, entered.text
            yield Browser(client)


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser as far as HTTP goes: it keeps the cookie, and sends forms with what their page has in them."""

    client: httpx2.Client

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(path)

    def csrf(self, page: str = "/cases") -> str:
        found = CSRF.search(self.get(page).text)
        assert found is not None
        return found[1]

    def post(self, path: str, page: str = "/cases", **fields: str) -> httpx2.Response:
        """Send a form of a page."""
        return self.client.post(path, data={"csrf": self.csrf(page), **fields})


def log_in(console: RunningConsole, client: httpx2.Client, path: str) -> httpx2.Response:
    """As a browser does: to the identity provider and back. Returns the answer to coming back."""
    sent = client.get(f"{console.url}/login/provider", params={"next": path})
    assert sent.status_code == 303, sent.text
    back = httpx2.get(sent.headers["location"])
    return client.get(back.headers["location"])


def token_of(person: str) -> str:
    return f"token-of-{person}"


def token_file(folder: Path) -> Path:
    """A token file with everybody in it."""
    persons = [
        {"person": name, "login": name, "token_sha256": digest(token_of(name)), "role": role, "agents": agents}
        for name, (role, agents) in PERSONS.items()
    ]
    file = folder / "tokens.yaml"
    file.write_text(yaml.safe_dump({"persons": persons}))
    return file


@contextmanager
def running(
    settings: Settings, folder: Path, file: Path | None = None, oidc: OidcSettings | None = None, **more: Any
) -> Iterator[RunningConsole]:
    """A console for an installation, until the block ends; `more` are further settings of it."""
    known = {"port": claim_port(0, ""), "token_file": file or token_file(folder), "oidc": oidc or OidcSettings()}
    own = ConsoleSettings.model_validate({**known, **more})
    built = build(settings, DeadLetterQueue(settings), own, settings.person)
    server = uvicorn.Server(uvicorn.Config(built.app, own.host, own.port, log_config=None, server_header=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + STARTS_WITHIN_S
    try:
        while not server.started:
            assert time.monotonic() < deadline, "the console does not start"
            time.sleep(0.02)
        yield RunningConsole(own.address, own)
    finally:
        server.should_exit = True
        thread.join()
