"""What an HTTP answer says about the step. A table, and no I/O.

`http.py` calls it with each answer. Whether a step happened depends on the handler too: a server error may come after
the deed, so it may be tried again only where a second call does no harm.
"""

from collections.abc import Mapping
from enum import Enum, auto

import orjson

from effects.actions.protocol import Result

MAX_RESULT_BYTES = 64_000
MAX_ERROR_CHARACTERS = 500


class Meaning(Enum):
    """What an answer says about the deed."""

    DONE = auto()
    NOT_NOW = auto()  # it did not happen, and may later
    NEVER = auto()  # it did not happen, and will not
    MAYBE = auto()  # it may have happened


# What is not here: 2xx is DONE, 5xx MAYBE, all else NEVER (redirects too: following one would leave the connection).
MEANINGS: Mapping[int, Meaning] = {
    408: Meaning.NOT_NOW,  # the request never arrived whole
    425: Meaning.NOT_NOW,
    429: Meaning.NOT_NOW,
    503: Meaning.NOT_NOW,
}


def meaning(status: int, *, takes_keys: bool) -> Meaning:
    """The meaning of an HTTP status. With keys, 409 is our own earlier call, still being worked on."""
    if status == 409 and takes_keys:
        return Meaning.MAYBE
    if 200 <= status < 300:
        return Meaning.DONE
    return MEANINGS.get(status, Meaning.MAYBE if status >= 500 else Meaning.NEVER)


def works(status: int) -> bool:
    """Whether who answers so is in a state to do what it is asked."""
    return status < 500 and status != 429


def result(found: Meaning, detail: str, *, repeatable: bool, answered: bool) -> Result:
    """The result for whatever was not done."""
    if found is not Meaning.MAYBE:
        return Result("failed", error=detail, retryable=found is Meaning.NOT_NOW, answered=answered)
    doubt = f"{detail}: it may have happened" + ("" if repeatable else ", and it is not safe to try again")
    return Result("unknown", error=doubt, retryable=repeatable, answered=answered)


def json_text(body: bytes, cut: bool) -> str:
    """The body as JSON text of at most 64 kB: itself when it is JSON, else a JSON string, shortened if need be."""
    if not body:
        return "null"
    if not cut and len(body) <= MAX_RESULT_BYTES:
        try:
            orjson.loads(body)
            return body.decode()
        except orjson.JSONDecodeError:
            pass  # not JSON: a text like any other
    return _quoted(body.decode(errors="replace"), cut)


def _quoted(text: str, cut: bool) -> str:
    text, cut = text[:MAX_RESULT_BYTES], cut or len(text) > MAX_RESULT_BYTES
    while True:
        quoted = orjson.dumps(text + "…" if cut else text)
        if len(quoted) <= MAX_RESULT_BYTES:
            return quoted.decode()
        text, cut = text[: len(text) * 9 // 10], True


def error_text(status: int, body: bytes) -> str:
    """`HTTP 422: what the other side said`, in one bounded line."""
    said = " ".join(body[: 4 * MAX_ERROR_CHARACTERS].decode(errors="replace").split())[:MAX_ERROR_CHARACTERS]
    return f"HTTP {status}: {said}" if said else f"HTTP {status}"


def retry_after_seconds(header: str | None) -> int | None:
    """Whole seconds of a `Retry-After`; None for its date form, which needs a clock."""
    return int(header) if header is not None and header.isascii() and header.isdigit() and len(header) < 7 else None
