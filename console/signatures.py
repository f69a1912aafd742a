"""Checks who signed a request: Slack (`v0`, with the app's signing secret), or a sender by Standard Webhooks.

Both sign the time and the bytes of the body as they came. A request counts within five minutes of its time, and once.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

WITHIN_S = 300
KEY_BYTES_AT_LEAST = 24
SEEN_AT_MOST = 100_000
SECRET_PREFIX = "whsec_"  # noqa: S105 - how such a secret begins


class NotSigned(Exception):
    """The request has no valid signature, or it was signed too long ago, or it came before."""


@dataclass(slots=True)
class Seen:
    """The signatures that came within the last minutes."""

    _times: OrderedDict[str, float] = field(default_factory=OrderedDict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def check(self, signature: str, now_s: float) -> None:
        """Raises `NotSigned` for a signature that came before."""
        with self._changing:
            while self._times and now_s - next(iter(self._times.values())) > 2 * WITHIN_S:
                self._times.popitem(last=False)
            if signature in self._times:
                raise NotSigned("this request was received before")
            if len(self._times) >= SEEN_AT_MOST:
                raise NotSigned("too many requests: send it again in some minutes")
            self._times[signature] = now_s


def check_slack(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """Returns the signature. Raises `NotSigned`."""
    signed_at = headers.get("x-slack-request-timestamp", "")
    _check_time(signed_at, now_s)
    expected = "v0=" + hmac.new(secret.encode(), b"v0:%s:%s" % (signed_at.encode(), body), sha256).hexdigest()
    return _equal(expected, [headers.get("x-slack-signature", "")])


def check_webhook(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """Returns the signature. The header may have several, separated by spaces. Raises `NotSigned`."""
    signed_at, id_ = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    _check_time(signed_at, now_s)
    if not id_:
        raise NotSigned("it has no webhook-id")
    content = b"%s.%s.%s" % (id_.encode(), signed_at.encode(), body)
    expected = "v1," + base64.b64encode(hmac.new(key_of(secret), content, sha256).digest()).decode()
    return _equal(expected, headers.get("webhook-signature", "").split())


def key_of(secret: str) -> bytes:
    """The bytes of a secret of the form `whsec_` and base64. Raises `ValueError` for another one."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"it does not begin with {SECRET_PREFIX}")
    try:
        found = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("it is no base64") from None
    if len(found) < KEY_BYTES_AT_LEAST:
        raise ValueError(f"it has fewer than {KEY_BYTES_AT_LEAST} bytes")
    return found


def _check_time(signed_at: str, now_s: float) -> None:
    if not (signed_at.isascii() and signed_at.isdigit() and len(signed_at) <= 12):
        raise NotSigned("it has no time")
    if abs(now_s - int(signed_at)) > WITHIN_S:
        raise NotSigned("it was signed more than five minutes ago, or the clocks differ")


def _equal(expected: str, given: list[str]) -> str:
    if not any(hmac.compare_digest(expected.encode(), one.encode()) for one in given):
        raise NotSigned("the signature is not that of this request")
    return expected
