"""Slack as far as buttons go: it takes a message, signs what it sends when somebody presses a button, and takes answers
at the `response_url`. It refuses what the real one refuses (docs/how-to/approvals.md has the contract).
"""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import httpx2

from tests.secret_leaks import ENVIRONMENT

SECRET = ENVIRONMENT["NIGHTDESK_CONSOLE__SLACK__SIGNING_SECRET"]
TEAM, CHANNEL = "T0001", "C0001"


def problem_with(blocks: list[dict[str, Any]]) -> str:
    """Why Slack does not take these blocks of a message; empty if it does."""
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(blocks) > 50 or len(ids) != len(set(ids)) or any(not 1 <= len(id_) <= 255 for id_ in ids):
        return "too many blocks, or a block_id that is none"
    return next((problem for block in blocks if (problem := _problem_with_block(block))), "")


def _problem_with_block(block: dict[str, Any]) -> str:
    if block.get("type") == "section":
        text = block.get("text", {})
        return "" if text.get("type") in ("plain_text", "mrkdwn") and 1 <= len(text["text"]) <= 3000 else "section"
    if block.get("type") != "actions" or not 1 <= len(block.get("elements", ())) <= 25:
        return "a block that is no section and no actions"
    for element in block["elements"]:
        label = element.get("text", {})
        fits = label.get("type") == "plain_text" and 1 <= len(label["text"]) <= 75
        if element.get("type") != "button" or not fits or element.get("style") not in (None, "primary", "danger"):
            return "a button"
        if not 1 <= len(element.get("action_id", "")) <= 255 or len(element.get("value", "")) > 2000:
            return "an action_id or a value"
    return ""


@dataclass
class Slack:
    """One channel with one message. `told` are the messages that only a person saw."""

    url: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answers: int = 0

    def buttons(self) -> dict[str, dict[str, Any]]:
        """The buttons of the message, by their labels."""
        actions = [block for block in self.blocks if block["type"] == "actions"]
        return {
            one["text"]["text"]: one | {"block_id": block["block_id"]} for block in actions for one in block["elements"]
        }

    def post(self, body: dict[str, Any]) -> None:
        """Take a message as the incoming webhook does."""
        assert isinstance(body["text"], str)
        assert not problem_with(body["blocks"]), body
        self.blocks = body["blocks"]

    def payload(self, user: str, label: str) -> bytes:
        """The body that Slack sends when the user presses the button."""
        pressed = self.buttons()[label]
        payload = {
            "type": "block_actions",
            "user": {"id": user, "username": user.lower(), "team_id": TEAM},
            "api_app_id": "A0001",
            "token": "is not used any more",
            "container": {"type": "message", "message_ts": "1.1", "channel_id": CHANNEL, "is_ephemeral": False},
            "trigger_id": "1.1.abc",
            "team": {"id": TEAM, "domain": "test"},
            "enterprise": None,
            "channel": {"id": CHANNEL, "name": "ops"},
            "message": {"type": "message", "ts": "1.1", "text": "", "blocks": self.blocks},
            "response_url": f"{self.url}/actions/{TEAM}/1/abc",
            "actions": [{**pressed, "type": "button", "action_ts": "1.2"}],
        }
        return urlencode({"payload": json.dumps(payload)}).encode()

    def press(self, console: str, user: str, label: str) -> httpx2.Response:
        """The user presses a button; waits until somebody said what became of it."""
        before, body = self.answers, self.payload(user, label)
        answer = httpx2.post(f"{console}/answers/slack", content=body, headers=signed(body))
        deadline = time.monotonic() + 60
        while answer.status_code == 200 and self.answers == before:
            assert time.monotonic() < deadline, "nobody said what became of it"
            time.sleep(0.05)
        return answer

    def respond(self, body: dict[str, Any]) -> str:
        """Take what is sent to the response_url; the problem with it, if there is one."""
        if not isinstance(body.get("text"), str) or problem_with(body.get("blocks", [])):
            return "invalid_blocks"
        if body.get("replace_original"):
            self.blocks = body["blocks"]
        elif body.get("response_type") == "ephemeral":
            self.told.append(body["text"])
        else:
            return "neither replace_original nor ephemeral"
        self.answers += 1
        return ""


def signed(body: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """The headers of a request of Slack."""
    now = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"v0:{now}:".encode() + body, sha256).hexdigest()
    content_type = "application/x-www-form-urlencoded"
    return {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": f"v0={digest}", "Content-Type": content_type}


@contextmanager
def slack_server() -> Iterator[Slack]:
    """A Slack on loopback."""
    found = Slack()

    class Responses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_json = self.headers["Content-Type"].partition(";")[0] == "application/json"
            problem = found.respond(json.loads(body)) if is_json and "/actions/" in self.path else "not_json"
            found.wrong += [problem] if problem else []
            self.send_response(400 if problem else 200)
            self.end_headers()
            self.wfile.write(problem.encode() or b"ok")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Responses)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
