"""A bank that pays without confirming it: the outside system that the scenario `liar` sends payments to.

Some first calls of a payment get a false answer: an error after the payment, no answer, a late answer, or no answer
while the payment waits in a queue. One path takes idempotency keys, one identifies payments by name, one pays at every
call, and one pays at every call and can be asked whether it paid.
"""

import asyncio
import time
from collections.abc import Callable
from random import Random

import orjson

from tests.fakes.action_server import CLOSE_AFTER_ACTING, Conduct, Request

PATH = "/payments"
KEY, NATURAL, NONE, ASKED = (f"{PATH}/{way}" for way in ("key", "natural", "none", "asked"))
# Longer than the charter's timeout, and shorter than the time after which it believes a 404.
LATE_S = 3.0
QUEUED_S = 5.0
ANSWER_S = 0.1
LIES = 0.4
# Three failures in a row open the circuit for a while, and then the payments wait instead of meeting wrong answers.
LIES_IN_A_ROW = 2
# After the deed.
ERRORS = (302, 303, 408, 425, 429, 500, 502, 503, 504)
ONLY_WITHOUT_KEYS = (400, 404, 409)  # of a call with a key a refusal is believed
DID_NOT_HAPPEN = 422


class Bank:
    """`pay(path, body)` is called for every payment. The bank answers truthfully until a scenario sets `lies` to its
    random numbers.
    """

    def __init__(self, pay: Callable[[str, dict[str, object]], None]) -> None:
        self._pay = pay
        self._known: set[tuple[str, str]] = set()
        self._heard: set[tuple[str, str]] = set()
        self._waiting: set[asyncio.TimerHandle] = set()
        self.lies: Random | None = None
        self.lied = 0
        self._in_a_row = 0

    def handle(self, request: Request) -> Conduct:
        """Perform or queue the request, and choose the answer."""
        path, name = _payment(request)
        if request.method == "GET":
            status = 200 if (path, name) in self._known else 404
            return Conduct(status, b'{"paid": true}', acts=False, delay_seconds=ANSWER_S)
        is_first = (path, name) not in self._heard
        self._heard.add((path, name))
        if is_first and self.lies is not None and self._in_a_row < LIES_IN_A_ROW and self.lies.random() < LIES:
            self.lied += 1
            self._in_a_row += 1
            return self._lie(path, name, orjson.loads(request.body), self.lies)
        self._in_a_row = 0
        self._execute(path, name, orjson.loads(request.body))
        return Conduct(body=b'{"paid": true}', delay_seconds=ANSWER_S)

    def _lie(self, path: str, name: str, body: dict[str, object], chance: Random) -> Conduct:
        kind = chance.choice(("error", "error", "late", "reset", "queued", "lost", "refused"))
        if kind == "queued":  # the call waits there, and our connection is gone
            asyncio.get_running_loop().call_later(QUEUED_S, self._execute, path, name, body)
            return CLOSE_AFTER_ACTING
        if kind == "lost":
            return CLOSE_AFTER_ACTING
        if kind == "refused" and path == NONE:  # the one that the charter lists, and so no lie
            return Conduct(DID_NOT_HAPPEN, b"{}", acts=False)
        self._execute(path, name, body)
        if kind == "late":
            return Conduct(body=b'{"paid": true}', delay_seconds=LATE_S)
        if kind == "error":
            without_keys = ONLY_WITHOUT_KEYS if path in (NONE, ASKED) else ()
            return Conduct(chance.choice((*ERRORS, *without_keys)), b"{}", acts=False)
        return CLOSE_AFTER_ACTING

    def _execute(self, path: str, name: str, body: dict[str, object]) -> None:
        if path in (KEY, NATURAL) and (path, name) in self._known:
            return
        self._known.add((path, name))
        self._pay(path, body)


def _payment(request: Request) -> tuple[str, str]:
    """The path without the payment's name, and the name: the last part of the path, or else the key."""
    way, _, name = request.path.removeprefix(f"{PATH}/").partition("/")
    return f"{PATH}/{way}", name or request.key or f"without a key, at {time.time()}"
