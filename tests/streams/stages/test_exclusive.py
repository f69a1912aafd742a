"""Of the exclusive agents only the first that accepts an event takes it; others are not affected."""

import pytest

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.schemas.topics import INGEST
from nightdesk.streams.stages.ingest import Ingest
from tests.processors.examples import compiled, event
from tests.streams.stages.stage_harness import Bench, Clock, in_force
from tests.streams.stages.test_offered_again import _kinds, _promote, _takers

FAILS = ('event.data.status == "open"', "event.data.missing == 1")
OTHER_STATUS = ('event.data.status == "open"', 'event.data.status == "closed"')
REFUSES = ("5/1h", "1/1h, over_limit: refuse")


def _charter(agent: str, exclusive: str = "exclusive: true", *changes: tuple[str, str]) -> CompiledCharter:
    return compiled(("agent: desk", f"agent: {agent}\n{exclusive}"), *changes)


async def _taken(*charters: CompiledCharter) -> list[str]:
    return sorted(_takers(await Bench(Ingest(in_force(*charters), Clock())).take(INGEST, event())))


@pytest.mark.parametrize(
    ("charters", "takers"),
    [
        ((_charter("b"), _charter("a")), ["a"]),
        ((_charter("a", "exclusive: true\norder: 2"), _charter("b", "exclusive: true\norder: 1")), ["b"]),
        ((_charter("a"), _charter("b", "exclusive: false")), ["a", "b"]),
        ((_charter("a", "exclusive: false"), _charter("b"), _charter("c")), ["a", "b"]),
        ((_charter("a", "exclusive: true", OTHER_STATUS), _charter("b")), ["b"]),
        ((_charter("a", "exclusive: true", FAILS), _charter("b")), ["b"]),
        ((_charter("a", "exclusive: true", FAILS), _charter("b", "exclusive: true", FAILS)), []),
    ],
)
async def test_who_takes_an_event(charters: tuple[CompiledCharter, ...], takers: list[str]) -> None:
    assert await _taken(*charters) == takers
    assert await _taken(*reversed(charters)) == takers, "in whatever order they were applied"


async def test_whom_the_limit_of_the_first_refuses_the_second_does_not_take() -> None:
    bench = Bench(Ingest(in_force(_charter("a", "exclusive: true", REFUSES), _charter("b")), Clock()))
    assert _takers(await bench.take(INGEST, event().model_copy(update={"id": "e-0"}), offset=0)) == ["a"]
    refused = await bench.take(INGEST, event(), offset=1)
    assert (_takers(refused), _kinds(refused)) == ([], ["refused"])


async def test_an_event_that_the_second_took_is_not_offered_to_the_first_again() -> None:
    control = in_force(_charter("a", "exclusive: true", FAILS), _charter("b"))
    bench = Bench(Ingest(control, Clock()))
    assert _takers(await bench.take(INGEST, event(), offset=0)) == ["b"]
    _promote(control, _charter("a"))
    for offset, offered_to in enumerate(("", "*", "a"), start=1):
        assert _takers(await bench.take(INGEST, event(), offset=offset, offered_to=offered_to)) == []
