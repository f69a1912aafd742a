"""The table of what an HTTP response means for the step. No I/O.

The last server on the way chooses the status: a proxy answers 502, 503 or 504 while the server behind it continues, and
a server can fail after it has acted. So no status proves that a call without a key did nothing, unless the charter
lists it (`did_not_happen`). For a repeatable call, a refusal (4xx) counts.
"""

from enum import Enum, auto

import orjson

from nightdesk.processors.charter.handlers import HttpHandler
from nightdesk.processors.json_text import DataInvalid, parse_exact
from nightdesk.processors.playbook import StepResult

MAX_RESULT_BYTES = 64_000
MAX_ERROR_CHARACTERS = 500


class Meaning(Enum):
    """What a response proves about the call."""

    DONE = auto()
    NOT_NOW = auto()  # it did not happen, but may later
    NEVER = auto()  # it did not happen, and will not
    MAYBE = auto()  # it may have happened


# Statuses in the 4xx range that refuse nothing for good: timeout, too early, too many requests, and a proxy that says
# that its client left (460, 499), behind which the server may continue.
TEMPORARY = frozenset({408, 425, 429, 460, 499})


def meaning(status: int, handler: HttpHandler) -> Meaning:
    """The meaning of an HTTP status for a call of the handler.

    Redirects are not followed and prove nothing: many systems answer 303 to a request that they have executed. With
    keys, 409 means that our own earlier call is still running.
    """
    if 200 <= status < 300:
        return Meaning.DONE
    if handler.read_only or status in handler.did_not_happen:
        return Meaning.NOT_NOW if status in TEMPORARY or status >= 500 else Meaning.NEVER
    is_refusal = 400 <= status < 500 and status not in TEMPORARY
    if not handler.repeatable or not is_refusal or (status == 409 and handler.idempotent == "key"):
        return Meaning.MAYBE
    return Meaning.NEVER


def works(status: int) -> bool:
    """Whether a server with this status is able to process requests."""
    return status < 500 and status != 429


def result(found: Meaning, detail: str, *, repeatable: bool, answered: bool) -> StepResult:
    """The result of a call that was not successful."""
    if found is not Meaning.MAYBE:
        return StepResult("failed", error=detail, retryable=found is Meaning.NOT_NOW, answered=answered)
    possible = f"{detail}: it may have happened" + ("" if repeatable else ", and it is not safe to repeat it")
    return StepResult("unknown", error=possible, retryable=repeatable, answered=answered)


def json_text(body: bytes, cut: bool) -> str:
    """The body as JSON text of at most 64 kB: the body itself if it is JSON, otherwise a JSON string, shortened if
    necessary.
    """
    if not body:
        return "null"
    if not cut and len(body) <= MAX_RESULT_BYTES:
        try:
            text = body.decode()
            parse_exact(text, "the answer", keys_may_repeat=True)
            return text
        except (UnicodeDecodeError, DataInvalid):
            pass  # later steps could not read it as intended, so it is text
    return _quoted(body.decode(errors="replace"), cut)


def _quoted(text: str, cut: bool) -> str:
    text, cut = text[:MAX_RESULT_BYTES], cut or len(text) > MAX_RESULT_BYTES
    while True:
        quoted = orjson.dumps(text + "…" if cut else text)
        if len(quoted) <= MAX_RESULT_BYTES:
            return quoted.decode()
        text, cut = text[: len(text) * 9 // 10], True


def error_text(status: int, body: bytes) -> str:
    """`HTTP 422: the message of the other side`, in one line of bounded length."""
    text = " ".join(body[: 4 * MAX_ERROR_CHARACTERS].decode(errors="replace").split())[:MAX_ERROR_CHARACTERS]
    return f"HTTP {status}: {text}" if text else f"HTTP {status}"
