"""An event becomes a case once, or an audit record that says why not."""

from datetime import UTC, datetime, timedelta

import pytest

from nightdesk.processors.event_checks import DATA_BYTES_AT_MOST
from nightdesk.schemas import ids
from nightdesk.schemas.records import BudgetEntry, Event, Timer
from nightdesk.schemas.topics import BUDGET, INGEST, TIMERS
from nightdesk.streams.stages.ingest import SEEN_FOR_S, EventRefused, Ingest
from tests.processors.examples import compiled, event
from tests.streams.stages.stage_harness import CODEC, PARTITION, Bench, Clock, audited, in_force, order, said, words

CHARTER = compiled()
REFUSE_OVER_2 = "2/1h, over_limit: refuse"


def _bench(clock: Clock | None = None, *changes: tuple[str, str]) -> Bench:
    return Bench(Ingest(in_force(compiled(*changes)), clock or Clock()))


def _numbered(number: int) -> Event:
    return event().model_copy(update={"id": f"e-{number}"})


async def test_an_event_asks_for_money_and_says_that_it_came() -> None:
    writes = await _bench().take(INGEST, event())
    [entry] = said(writes, BUDGET, BudgetEntry)
    assert entry.kind == "reserve"
    assert entry.case is not None
    assert entry.case.case_id == ids.case_id("desk", "shop", "e-1", event().subject)
    assert entry.case.event == event()
    [received] = audited(writes)
    assert (received.kind, received.status, received.case_id) == ("received", "running", entry.case_id)


async def test_a_case_knows_when_the_broker_stored_its_event_also_when_that_comes_again() -> None:
    bench, stored_at = _bench(), Clock().now - timedelta(hours=62)
    for _ in range(2):
        [entry] = said(await bench.take(INGEST, event(), 7, stored_at=stored_at), BUDGET, BudgetEntry)
        assert entry.case is not None
        assert (entry.case.aged_from, entry.case.received_at) == (stored_at, Clock().now)


async def test_a_broker_whose_clock_is_ahead_makes_no_case_younger() -> None:
    ahead = Clock().now + timedelta(hours=1)
    [entry] = said(await _bench().take(INGEST, event(), stored_at=ahead), BUDGET, BudgetEntry)
    assert entry.case is not None
    assert entry.case.aged_from == entry.case.received_at


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
    writes = await bench.take(INGEST, event(), 8)
    [ignored] = audited(writes)
    assert (ignored.kind, ignored.status, ignored.event_id) == ("ignored", "ignored", "e-1")
    assert len(writes.messages) == 1


async def test_two_sources_may_use_one_id() -> None:
    bench = _bench()
    await bench.take(INGEST, event(), 7)
    other = await bench.take(INGEST, event().model_copy(update={"source": "mail"}), 8)
    assert len(said(other, BUDGET, BudgetEntry)) == 1


async def test_the_same_source_and_id_under_another_subject_is_another_event() -> None:
    bench = _bench()
    found = [
        said(
            await bench.take(INGEST, event().model_copy(update={"subject": f"t-{number}"}), number), BUDGET, BudgetEntry
        )
        for number in range(3)
    ]
    assert len({entry.case_id for [entry] in found}) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [(("shop\x7c", "a"), ("shop", "|a")), (("shop", "1:a"), ("shop1:", "a")), (("shop2:", "a"), ("shop", "2:a"))],
)
async def test_what_stands_where_source_and_id_meet_makes_no_two_events_one(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    bench = _bench()
    for offset, (source, name) in enumerate((one, other)):
        came = event().model_copy(update={"source": source, "id": name})
        assert said(await bench.take(INGEST, came, offset), BUDGET, BudgetEntry)


async def test_a_record_that_was_forwarded_twice_is_the_same_delivery() -> None:
    bench = _bench()
    first = await bench.take(INGEST, event(), 7, origin="3:17#ab")
    assert words(await bench.take(INGEST, event(), 8, origin="3:17#ab")) == words(first)
    for origin in ("", "3:17#cd", "3:18#ab"):
        [ignored] = audited(await bench.take(INGEST, event(), 9, origin=origin))
        assert ignored.kind == "ignored"


@pytest.mark.parametrize("may_expire", [False, True])
async def test_an_event_is_forgotten_only_by_a_clock_that_may_expire_entries(may_expire: bool) -> None:
    """The clock is more than a week ahead for a moment."""
    clock = Clock()
    bench = _bench(clock)
    await bench.take(INGEST, event(), 7)
    clock.forward(SEEN_FOR_S + 1)
    writes = bench.stage_writes(PARTITION)
    bench.stage.advance(PARTITION, writes, may_expire=may_expire)
    bench.make_durable(writes)
    clock.forward(-SEEN_FOR_S - 1)
    again = await bench.take(INGEST, event(), 8)
    assert bool(said(again, BUDGET, BudgetEntry)) == may_expire


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


async def test_a_clock_that_was_ahead_shuts_a_subject_out_for_one_period_at_most() -> None:
    clock = Clock()
    bench = _bench(clock, ("5/1h", REFUSE_OVER_2))
    clock.forward(20 * 3600)
    for number in range(2):
        await bench.take(INGEST, _numbered(number), offset=number)
    clock.forward(-20 * 3600)
    refused = await bench.take(INGEST, _numbered(2), offset=2)
    assert said(refused, BUDGET, BudgetEntry) == []
    clock.forward(3600)
    admitted = await bench.take(INGEST, _numbered(3), offset=3)
    assert len(said(admitted, BUDGET, BudgetEntry)) == 1


async def test_over_the_subjects_limit_a_case_is_refused_and_the_admitted_ones_stay_admitted() -> None:
    bench = _bench(None, ("5/1h", REFUSE_OVER_2))
    for number in range(2):
        assert len(said(await bench.take(INGEST, _numbered(number), number), BUDGET, BudgetEntry)) == 1
    writes = await bench.take(INGEST, _numbered(2), 2)
    [refused] = audited(writes)
    assert (refused.kind, refused.status) == ("refused", "refused")
    assert "more than 2 in 3600 s" in refused.reason
    assert said(writes, BUDGET, BudgetEntry) == []
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
    control.apply(order("charter", "desk", "new", charter=newer.charter.to_json(), charter_version=newer.version))
    control.apply(order("promote", "desk", "desk/promoted", charter_version=newer.version))
    assert words(await bench.take(INGEST, event(), 7)) == words(first)


async def test_an_event_that_nobody_takes_is_said_to_be_ignored() -> None:
    [ignored] = audited(await _bench().take(INGEST, event().model_copy(update={"type": "parcel.lost"})))
    assert (ignored.kind, ignored.reason) == ("ignored", "no charter accepts parcel.lost")


BIG = '{"status": "open", "text": "x", "amount": 123456789012345678901234567890}'
TWICE = '{"status": "open", "status": "open", "text": "x"}'


@pytest.mark.parametrize("data", [BIG, TWICE, "NaN", "not json", '{"status": "open"}', "[]", ""])
async def test_an_event_whose_data_is_wrong_is_rejected_with_the_reason(data: str) -> None:
    [rejected] = audited(await _bench().take(INGEST, event().model_copy(update={"data": data})))
    assert (rejected.kind, rejected.status) == ("rejected", "failed")
    assert rejected.reason.startswith("desk: ")


@pytest.mark.parametrize("field", ["id", "source", "type", "subject"])
async def test_an_event_without_an_attribute_cannot_be_carried(field: str) -> None:
    with pytest.raises(EventRefused, match=f"{field} is empty"):
        await _bench().take(INGEST, event().model_copy(update={field: " "}))


@pytest.mark.parametrize(
    "changes",
    [{"id": "a\x00b"}, {"source": "a\x00b"}, {"subject": "a\u009b"}, {"time": datetime(1970, 1, 21, tzinfo=UTC)}],
)
async def test_an_event_whose_attributes_cannot_be_right_cannot_be_carried(changes: dict[str, object]) -> None:
    bench = _bench()
    with pytest.raises(EventRefused):
        await bench.take(INGEST, event().model_copy(update=changes))
    assert len(bench.tables["seen"]) == 0


async def test_an_event_that_is_too_large_cannot_be_carried() -> None:
    with pytest.raises(EventRefused, match="an event may have at most"):
        await _bench().take(INGEST, event().model_copy(update={"data": "x" * (DATA_BYTES_AT_MOST + 1)}))


async def test_an_event_that_makes_a_trigger_too_dear_is_rejected() -> None:
    dear = ('when: event.data.status == "open"', "when: event.data.a.all(x, event.data.a.exists(y, x == y))")
    large = event(a=list(range(20_000)))
    bench = _bench(None, dear)
    first, again = await bench.take(INGEST, large, 7), await bench.take(INGEST, large, 7)
    [rejected] = audited(first)
    assert rejected.kind == "rejected"
    assert "may cost" in rejected.reason
    assert words(first) == words(again)
    assert said(first, BUDGET, BudgetEntry) == []


async def test_an_event_whose_data_a_reason_quotes_is_rejected_and_no_dead_letter() -> None:
    """A reason as long as the data would be too long for the audit."""
    asked = ('when: event.data.status == "open"', "when: event.data[event.data.text] == 1")
    came = event("x" * 999_970)
    assert len(came.data) <= DATA_BYTES_AT_MOST
    [rejected] = audited(await _bench(None, asked).take(INGEST, came))
    assert (rejected.kind, len(rejected.reason) < 1000) == ("rejected", True)


async def test_an_event_that_may_cancel_a_follow_up_is_sent_to_the_timers_also_if_no_charter_accepts_it() -> None:
    remind = "- {do: later, with: {after: 48h, type: ticket.followup}, cancel_when: [{type: ticket.closed}]}"
    bench = _bench(
        None,
        ("    - {do: note,", f"    {remind}\n    - {{do: note,"),
        ("  note: {type: note}", "  note: {type: note}\n  later: {type: remind}"),
    )
    closed = event().model_copy(update={"type": "ticket.closed"})
    writes = await bench.take(INGEST, closed, 7)
    [came] = said(writes, TIMERS, Timer)
    assert (came.kind, came.subject, CODEC.decode(Event, came.value)) == ("event", "t-1", closed)
    [ignored] = audited(writes)
    assert ignored.reason == "no charter accepts ticket.closed, but it may cancel a follow-up"
    assert words(await bench.take(INGEST, closed, 7)) == words(writes)
    assert said(await bench.take(INGEST, event(), 9), TIMERS, Timer) == []
