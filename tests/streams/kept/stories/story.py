"""What a story is, and the cases that they share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from processors.charter import CompiledCharter
from schemas.records import Case
from tests.processors.examples import case, compiled, event
from tests.streams.kept.tables import Tables
from tests.streams.stages.bench import Bench

CHARTER = compiled()


@dataclass(frozen=True)
class Story:
    """`begins` gives the worker that ended; `goes_on` finds its tables."""

    name: str
    begins: Callable[[], Awaitable[Bench]]
    goes_on: Callable[[Tables], Awaitable[None]]


def numbered(number: int, charter: CompiledCharter = CHARTER) -> Case:
    """As many cases as are needed, all of one subject."""
    return case(charter, event().model_copy(update={"id": f"e-{number}"}))
