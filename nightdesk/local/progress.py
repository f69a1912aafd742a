"""How the stack says what it does while it downloads and starts. `nightdesk.commands.up` picks the implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

WORTH_A_LINE_BYTES = 2_000_000


class Report(Protocol):
    """Where news of the stack goes."""

    def say(self, line: str) -> None:
        """One finished piece of news."""

    def download(self, name: str, size_bytes: int) -> AbstractContextManager[Callable[[int], None]]:
        """A context manager that yields `advance(bytes)`; what jgo calls for every file it fetches."""


class Silent:
    """For tests: says nothing."""

    def say(self, line: str) -> None:
        pass

    @contextmanager
    def download(self, name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        yield lambda _bytes: None


class OnConsole:
    """For people: bars on a terminal, plain lines where the output is a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def download(self, name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        if not self._console.is_terminal:
            if size_bytes > WORTH_A_LINE_BYTES:
                self.say(f"  downloading {name} ({size_bytes / 1e6:.0f} MB)")
            yield lambda _bytes: None
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=size_bytes)
            yield lambda done_bytes: progress.advance(task, done_bytes)
