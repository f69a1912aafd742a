"""Why something that a person asked for was not done: the one exception below every user interface.

An interface translates it: the command line into a line on stderr and an exit code (`nightdesk/exit_codes.py`).
"""

from __future__ import annotations

from enum import StrEnum


class FailureKind(StrEnum):
    """The kind of failure, for choosing an exit code or an HTTP status."""

    FAILED = "failed"
    INVALID = "invalid"  # the request is invalid: an option, a query, a setting
    NOT_FOUND = "not_found"
    UNREACHABLE = "unreachable"
    NOT_READY = "not_ready"
    NOT_CONFIGURED = "not_configured"
    LOST = "lost"
    ACTED_AFTER_STOP = "acted_after_stop"


class Failure(Exception):
    """The request could not be carried out. `message` is one line; `remedy` says what to do about it."""

    def __init__(self, message: str, remedy: str = "", kind: FailureKind = FailureKind.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.kind = kind

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class NotConfigured(Failure):
    """An endpoint is needed that neither the environment nor a running `nightdesk up` names."""

    def __init__(self, what: str, variable: str) -> None:
        super().__init__(
            f"no {what} is configured and no local stack is running here",
            f"Run `make up` (or `nightdesk up`) in another terminal, or set {variable}",
            FailureKind.NOT_CONFIGURED,
        )
