"""The type of a story, and the cases that stories share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nightdesk.processors.charter import CompiledCharter
from nightdesk.schemas.records import Case
from tests.processors.examples import case, compiled, event
from tests.streams.kept.tables import Tables
from tests.streams.stages.stage_harness import Bench

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
