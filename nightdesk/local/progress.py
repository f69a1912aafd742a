"""Progress messages of the stack while it downloads and starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from nightdesk.schemas.foreign_text import visible

WORTH_A_LINE_BYTES = 2_000_000


class Report(Protocol):
    """Receives progress messages."""

    def show(self, line: str) -> None:
        """Show one message."""

    def download(self, name: str, size_bytes: int) -> AbstractContextManager[Callable[[int], None]]:
        """A context manager that yields `advance(bytes)`; jgo calls it for every file that it downloads."""


class Silent:
    """For tests: shows nothing."""

    def show(self, line: str) -> None:
        pass

    @contextmanager
    def download(self, name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        yield lambda _bytes: None


class OnConsole:
    """For people: progress bars on a terminal, plain lines if the output is a file or a pipe."""

    def __init__(self) -> None:
        self._console = Console()

    def show(self, line: str) -> None:
        for one in line.split("\n"):
            self._console.print(Text(visible(one)), soft_wrap=True)

    @contextmanager
    def download(self, name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        if not self._console.is_terminal:
            if size_bytes > WORTH_A_LINE_BYTES:
                self.show(f"  downloading {name} ({size_bytes / 1e6:.0f} MB)")
            yield lambda _bytes: None
            return
        description = TextColumn("  {task.description}", markup=False)
        columns = (description, BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=size_bytes)
            yield lambda done_bytes: progress.advance(task, done_bytes)
