"""Tells Slack what followed from a pressed button, at the address that came with the press (`response_url`)."""

from __future__ import annotations

from typing import Any

import httpx2

from nightdesk.messaging.failures import Failure, FailureKind

ANSWER_WITHIN_S = 10.0


def respond(address: str, allowed: str, message: dict[str, Any]) -> None:
    """Send the message. Raises `Failure`, also for an address that is not below `allowed`: it came with a request."""
    if not address.startswith(f"{allowed.rstrip('/')}/"):
        raise Failure("the response_url is not an address of Slack", kind=FailureKind.INVALID)
    try:
        answer = httpx2.post(address, json=message, timeout=ANSWER_WITHIN_S, follow_redirects=False)
    except httpx2.HTTPError as error:
        raise Failure(f"Slack does not answer: {type(error).__name__}", kind=FailureKind.UNREACHABLE) from None
    if not answer.is_success:
        raise Failure(f"Slack does not accept the result of an answer: HTTP {answer.status_code}")
