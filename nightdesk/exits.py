"""How a command ends: the documented exit codes, and the one exception that carries them.

Every command raises `Failure`; `nightdesk.cli.main` is the only place that prints it and leaves the process.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The contract with scripts, documented in `nightdesk --help`; never renumber."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    NOT_READY = 5
    NOT_CONFIGURED = 6


class Failure(Exception):
    """A command could not do its work. `message` is one line; `remedy` says what to do about it."""

    def __init__(self, message: str, remedy: str = "", code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class NotConfigured(Failure):
    """An endpoint is needed that neither the environment nor a running `nightdesk up` names."""

    def __init__(self, what: str, variable: str) -> None:
        super().__init__(
            f"no {what} is configured and no local stack is running here",
            f"Run `make up` (or `nightdesk up`) in another terminal, or set {variable}",
            ExitCode.NOT_CONFIGURED,
        )
