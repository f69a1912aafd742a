"""Slack, PagerDuty, a webhook's receiver and a mail server, on loopback: each refuses what the real one refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Any

from aiohttp import web

from tests.fakes.slack import problem_with

SEVERITIES = ("critical", "error", "warning", "info")
EVENT_KEYS = {"routing_key", "event_action", "dedup_key", "payload", "client", "client_url", "links", "images"}


@dataclass
class Receivers:
    """What came in, by path. `answers` are statuses to give before anything is looked at, each once."""

    url: str = ""
    taken: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        if self.answers:
            return web.Response(status=self.answers.pop(0), text=f"no, for {request.path}")
        if request.content_type != "application/json":
            return web.Response(status=415)
        body = await request.json()
        check = {"/slack": _slack, "/pagerduty": _pagerduty}.get(request.path, _webhook)
        wrong = check(body, request)
        if wrong is not None:
            return wrong
        self.taken.append((request.raw_path, body, dict(request.headers)))
        if request.path == "/pagerduty":
            return web.json_response({"status": "success", "dedup_key": body["dedup_key"]}, status=202)
        return web.Response(text="ok")


def _slack(body: dict[str, Any], _request: web.Request) -> web.Response | None:
    """An incoming webhook takes `text`, or `blocks` with their limits."""
    if not isinstance(body.get("text"), str) or not body["text"]:
        return web.Response(status=400, text="no_text")
    if problem_with(body.get("blocks", [])):
        return web.Response(status=400, text="invalid_blocks")
    return None


def _pagerduty(body: dict[str, Any], _request: web.Request) -> web.Response | None:
    """Events API v2: what must be there, and its bounds."""
    payload, errors = body.get("payload", {}), []
    is_new = body.get("event_action") == "trigger"
    if len(body.get("routing_key", "")) != 32:
        errors.append("'routing_key' is missing or invalid")
    if body.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' is invalid")
    if is_new and not 1 <= len(payload.get("summary", "")) <= 1024:
        errors.append("'payload.summary' is missing or too long")
    if is_new and (not payload.get("source") or payload.get("severity") not in SEVERITIES):
        errors.append("'payload.source' or 'payload.severity' is invalid")
    if not is_new and not body.get("dedup_key"):
        errors.append("'dedup_key' is missing")
    if len(body.get("dedup_key", "")) > 255 or body.keys() - EVENT_KEYS:
        errors.append("'dedup_key' is too long, or a key is unknown")
    if errors:
        return web.json_response({"status": "invalid event", "errors": errors}, status=400)
    return None


def _webhook(_body: dict[str, Any], request: web.Request) -> web.Response | None:
    """Our own receiver wants a token and a key."""
    if request.headers.get("Authorization") != "Bearer s3cret" or not request.headers.get("Idempotency-Key"):
        return web.Response(status=401, text=f"bad {request.headers.get('Authorization')}")
    return None


@asynccontextmanager
async def receivers() -> AsyncIterator[Receivers]:
    """A server that takes what the real ones take."""
    found = Receivers()
    app = web.Application()
    app.router.add_post("/{name}", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        await runner.cleanup()


@dataclass
class Mailbox:
    """What a mail server took: the envelope's addresses and the message. `refuses` are addresses that it does not."""

    port: int = 0
    mails: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    refuses: frozenset[str] = frozenset()
    busy: int = 0

    # One case for each command of the protocol.
    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: C901 - see above
        """SMTP as in RFC 5321: a command may come only in its place."""
        sender, to = "", list[str]()

        def answer(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        answer("220 mail.example ESMTP")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO" | "HELO":
                    answer("250 mail.example")
                case "MAIL" if self.busy:
                    self.busy -= 1
                    answer("451 try again later")
                case "MAIL":
                    sender = rest.partition("<")[2].partition(">")[0]
                    answer("250 ok")
                case "RCPT" if (address := rest.partition("<")[2].partition(">")[0]) in self.refuses:
                    answer(f"550 no such user {address}")
                case "RCPT" if sender:
                    to.append(rest.partition("<")[2].partition(">")[0])
                    answer("250 ok")
                case "DATA" if to:
                    answer("354 go on")
                    await writer.drain()
                    data = (await reader.readuntil(b"\r\n.\r\n"))[:-5].decode()
                    mail = message_from_string(data.replace("\r\n..", "\r\n."), policy=policy.default)
                    self.mails.append((sender, to, mail))
                    answer("250 taken")
                case "RSET":
                    sender, to = "", []
                    answer("250 ok")
                case "QUIT":
                    answer("221 bye")
                    break
                case _:
                    answer("503 bad sequence of commands")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def mail_server() -> AsyncIterator[Mailbox]:
    """A mail server without TLS."""
    mailbox = Mailbox()
    server = await asyncio.start_server(mailbox.talk, "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        await server.wait_closed()
