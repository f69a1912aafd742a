"""A small help desk that represents the user's own systems in the example day: replies, refunds, notes, escalations.

Started as `python -m nightdesk.local.helpdesk --path FILE --port N`. If NIGHTDESK_HELPDESK_TOKEN is set, it requires
that bearer token. It honours `Idempotency-Key`: the same key gets the same response and counts once, so GET /count
shows whether an action was executed twice.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from nightdesk.local.loopback_only import Handler, loopback_only
from nightdesk.local.parts import LOOPBACK, Part, answers_http, python_module

# In the environment, because every user of the machine can see arguments.
TOKEN_VARIABLE = "NIGHTDESK_HELPDESK_TOKEN"  # noqa: S105  # its name
KINDS = ("replies", "refunds", "notes", "escalations")


@dataclass(slots=True)
class Helpdesk:
    """The executed requests, stored as one JSON line for each effect in `path`."""

    path: Path
    requests: int = 0
    effects: list[dict[str, Any]] = field(default_factory=list)
    by_key: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Helpdesk:
        """The effects that an earlier run stored in `path`."""
        desk = cls(path)
        if path.exists():
            with path.open(
                encoding="utf-8", newline="\n"
            ) as lines:  # a text may contain characters that `splitlines` splits at
                for line in lines:
                    desk._apply(json.loads(line))
                    desk.requests += 1
        return desk

    def perform(self, kind: str, target: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        """Execute a request once for each key; a repeated key gets the first response again."""
        self.requests += 1
        if key in self.by_key:
            return self.by_key[key]
        effect = {"id": f"{kind}-{len(self.effects) + 1}", "kind": kind, "target": target, "key": key, "body": body}
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(effect, ensure_ascii=False) + "\n")
        self._apply(effect)
        return effect

    def history(self, subject: str) -> list[dict[str, Any]]:
        """The effects whose target or body names this ticket or customer, oldest first."""
        return [effect for effect in self.effects if effect["target"] == subject or subject in effect["body"].values()]

    def _apply(self, effect: dict[str, Any]) -> None:
        self.effects.append(effect)
        if effect["key"]:
            self.by_key[effect["key"]] = effect


DESK: web.AppKey[Helpdesk] = web.AppKey("desk", Helpdesk)


def helpdesk_part(home: Path, port: int, token: str) -> Part:
    arguments = ("--path", str(home / "helpdesk.jsonl"), "--port", str(port))
    return Part(
        name="helpdesk",
        where=helpdesk_url(port),
        command=python_module("nightdesk.local.helpdesk", *arguments),
        is_ready=answers_http(helpdesk_url(port) + "/ping"),
        is_alive=answers_http(helpdesk_url(port) + "/ping"),
        environment={TOKEN_VARIABLE: token},
    )


def helpdesk_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def application(desk: Helpdesk, token: str = "") -> web.Application:
    """The help desk's HTTP interface. With a token configured, a request without it is answered only for /ping."""
    app = web.Application(middlewares=[loopback_only, _asking_for(token)])
    app[DESK] = desk
    app.router.add_get("/ping", _ping)
    app.router.add_get("/count", _count)
    app.router.add_post("/tickets/{target}", _perform)
    app.router.add_get("/tickets/{target}/history", _history)
    app.router.add_get("/customers/{target}", _customer)
    app.router.add_get("/customers/{target}/history", _history)
    for kind in KINDS:
        app.router.add_post(f"/{kind}", _perform)
        app.router.add_delete(f"/{kind}/{{target}}", _perform)
    return app


def _asking_for(token: str) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if token and request.path != "/ping" and not hmac.compare_digest(given, f"Bearer {token}".encode()):
            return web.json_response({"error": "a bearer token is required"}, status=401)
        return await handler(request)

    return check


async def _ping(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _count(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    return web.json_response({"requests": desk.requests, "distinct": len(desk.effects)})


async def _perform(request: web.Request) -> web.Response:
    kind = request.path.split("/")[1] + (".undone" if request.method == "DELETE" else "")
    text = await request.text()
    try:
        body = json.loads(text) if text else {}
    except ValueError as error:
        return web.json_response({"error": f"the body is not JSON: {error}"}, status=400)
    if not isinstance(body, dict):
        return web.json_response({"error": "the body must be a JSON object"}, status=400)
    key = request.headers.get("Idempotency-Key", "")
    effect = request.app[DESK].perform(kind, request.match_info.get("target", ""), body, key)
    return web.json_response(effect, status=200 if request.method == "DELETE" else 201)


async def _history(request: web.Request) -> web.Response:
    target = request.match_info["target"]
    return web.json_response({"subject": target, "history": request.app[DESK].history(target)})


async def _customer(request: web.Request) -> web.Response:
    target = request.match_info["target"]
    refunds = [effect for effect in request.app[DESK].history(target) if effect["kind"] == "refunds"]
    return web.json_response({"customer": target, "refunds": len(refunds)})


def main() -> None:
    """Runs until SIGTERM."""
    parser = argparse.ArgumentParser(description="The example help desk.")
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    desk = Helpdesk.load(arguments.path)
    app = application(desk, os.environ.pop(TOKEN_VARIABLE, ""))
    web.run_app(app, host=LOOPBACK, port=arguments.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
