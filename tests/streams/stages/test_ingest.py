"""An event becomes a case once, or an audited reason why not."""

import pytest

from schemas import ids
from schemas.records import BudgetEntry, Event
from schemas.topics import BUDGET, INGEST
from streams.stages.ingest import EVENT_BYTES_AT_MOST, SEEN_FOR_S, EventRefused, Ingest
from tests.processors.examples import compiled, event
from tests.streams.stages.bench import Bench, Clock, audited, in_force, order, said, words

CHARTER = compiled()


def _bench(clock: Clock | None = None, *changes: tuple[str, str]) -> Bench:
    return Bench(Ingest(in_force(compiled(*changes)), clock or Clock()))


def _numbered(number: int) -> Event:
    return event().model_copy(update={"id": f"e-{number}"})


async def test_an_event_asks_for_money_and_says_that_it_came() -> None:
    changes = await _bench().take(INGEST, event())
    [entry] = said(changes, BUDGET, BudgetEntry)
    assert entry.kind == "reserve"
    assert entry.case is not None
    assert entry.case.case_id == ids.case_id("desk", "shop", "e-1")
    assert entry.case.event == event()
    [received] = audited(changes)
    assert (received.kind, received.status, received.case_id) == ("received", "running", entry.case_id)


async def test_the_same_record_again_gives_the_same_words() -> None:
    bench = _bench()
    first, again = await bench.take(INGEST, event(), 7), await bench.take(INGEST, event(), 7)
    assert words(first) == words(again)
    assert again.puts == []


async def test_a_new_process_says_the_same_of_the_same_record() -> None:
    dead = _bench()
    first = await dead.take(INGEST, event(), 7)
    again = await _bench().inherit(dead).take(INGEST, event(), 7)
    assert words(first) == words(again)


async def test_the_same_event_at_another_place_is_ignored_and_said_so() -> None:
    bench = _bench()
    await bench.take(INGEST, event(), 7)
    changes = await bench.take(INGEST, event(), 8)
    [ignored] = audited(changes)
    assert (ignored.kind, ignored.status, ignored.event_id) == ("ignored", "ignored", "e-1")
    assert len(changes.messages) == 1


async def test_two_sources_may_use_one_id() -> None:
    bench = _bench()
    await bench.take(INGEST, event(), 7)
    other = await bench.take(INGEST, event().model_copy(update={"source": "mail"}), 8)
    assert len(said(other, BUDGET, BudgetEntry)) == 1


async def test_what_was_seen_is_forgotten_after_its_time() -> None:
    clock = Clock()
    bench = _bench(clock)
    await bench.take(INGEST, event(), 7)
    clock.forward(SEEN_FOR_S - 1)
    assert len(bench.tables["seen"]) == 1
    bench.tick()
    assert len(bench.tables["seen"]) == 1
    clock.forward(2)
    bench.tick()
    assert len(bench.tables["seen"]) == 0


async def test_over_the_subjects_limit_a_case_is_refused_and_the_admitted_ones_stay_admitted() -> None:
    bench = _bench(None, ("5/1h", "2/1h"))
    for number in range(2):
        assert len(said(await bench.take(INGEST, _numbered(number), number), BUDGET, BudgetEntry)) == 1
    changes = await bench.take(INGEST, _numbered(2), 2)
    [refused] = audited(changes)
    assert (refused.kind, refused.status) == ("refused", "refused")
    assert "more than 2 in 3600 s" in refused.reason
    assert said(changes, BUDGET, BudgetEntry) == []
    again = await bench.take(INGEST, _numbered(0), 0)
    assert len(said(again, BUDGET, BudgetEntry)) == 1, "a redelivery is not counted against the limit"


@pytest.mark.parametrize("hours", [0, 2])
async def test_hours_later_the_same_records_come_to_the_same(hours: int) -> None:
    clock = Clock()
    bench = _bench(clock, ("5/1h", "1/1h"))
    first = [words(await bench.take(INGEST, _numbered(number), number)) for number in range(3)]
    clock.forward(3600 * hours)
    bench.tick()  # the window is over, and with it what was in it
    again = [words(await bench.take(INGEST, _numbered(number), number)) for number in range(3)]
    assert first == again


async def test_a_charter_that_was_promoted_since_does_not_change_what_came_of_an_event() -> None:
    control = in_force(CHARTER)
    bench = Bench(Ingest(control, Clock()))
    first = await bench.take(INGEST, event(), 7)
    newer = compiled(("5/1h", "6/1h"))
    control.obey(order("charter", "desk", "new", charter=newer.charter.to_json(), charter_version=newer.version))
    control.obey(order("promote", "desk", "desk/promoted", charter_version=newer.version))
    assert words(await bench.take(INGEST, event(), 7)) == words(first)


async def test_an_event_that_nobody_takes_is_said_to_be_ignored() -> None:
    [ignored] = audited(await _bench().take(INGEST, event().model_copy(update={"type": "parcel.lost"})))
    assert (ignored.kind, ignored.reason) == ("ignored", "no charter takes parcel.lost")


@pytest.mark.parametrize("data", ["not json", '{"status": "open"}', "[]", ""])
async def test_an_event_whose_data_is_wrong_is_rejected_with_the_reason(data: str) -> None:
    [rejected] = audited(await _bench().take(INGEST, event().model_copy(update={"data": data})))
    assert (rejected.kind, rejected.status) == ("rejected", "failed")
    assert rejected.reason.startswith("desk: ")


@pytest.mark.parametrize("field", ["id", "source", "type", "subject"])
async def test_an_event_without_an_attribute_cannot_be_carried(field: str) -> None:
    with pytest.raises(EventRefused, match=f"{field} is empty"):
        await _bench().take(INGEST, event().model_copy(update={field: " "}))


async def test_an_event_that_is_too_large_cannot_be_carried() -> None:
    with pytest.raises(EventRefused, match="are the most"):
        await _bench().take(INGEST, event().model_copy(update={"data": "x" * (EVENT_BYTES_AT_MOST + 1)}))
