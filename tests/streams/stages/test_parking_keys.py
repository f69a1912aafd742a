"""Which letters a record waits for; a record that names no agent waits for none."""

import pytest

from nightdesk.schemas.records import Record
from nightdesk.streams.control import Control
from nightdesk.streams.stages import parking_keys
from tests.processors.examples import case, compiled, event
from tests.streams.stages.stage_harness import in_force
from tests.streams.stages.test_budget import _reserve
from tests.streams.stages.world import decision

PARKS = compiled(("mode: live", "mode: live\ndead_letters: {park_subject: true}"))
FREE = compiled()


@pytest.mark.parametrize(
    ("key", "queue"),
    [(b"t-1", "t-1"), (b"\xff", "\ufffd"), (None, None), (b"", None)],
    ids=["key", "bytes", "none", "empty"],
)
def test_what_cannot_be_read_waits_by_its_key_and_without_one_for_nobody(key: bytes | None, queue: str | None) -> None:
    assert parking_keys.for_events(in_force(PARKS))(None, key) == queue
    assert parking_keys.for_events(in_force(FREE))(None, key) is None


def test_an_event_waits_where_a_charter_that_hears_it_parks() -> None:
    other = event().model_copy(update={"type": "parcel.lost"})
    queue_of = parking_keys.for_events(in_force(PARKS))
    assert (queue_of(event(), b"x"), queue_of(other, b"x")) == ("t-1", None)
    assert parking_keys.for_events(in_force(FREE))(event(), b"x") is None


@pytest.mark.parametrize("record", [case(PARKS), decision(case(PARKS))], ids=["case", "decision"])
def test_a_case_waits_as_its_own_charter_says(record: Record) -> None:
    assert parking_keys.for_cases(in_force(PARKS))(record, b"x")
    assert parking_keys.for_cases(Control())(record, b"x") is None
    assert parking_keys.for_cases(in_force(PARKS))(None, b"x") is None


@pytest.mark.parametrize(
    "record", [case(PARKS), decision(case(PARKS)), _reserve(PARKS)], ids=["case", "decision", "reserve"]
)
def test_a_record_waits_for_its_charter_and_for_no_other(record: Record) -> None:
    assert parking_keys.for_charter(Control())(record, 0) is not None
    assert parking_keys.for_charter(in_force(FREE))(record, 0) is not None
    assert parking_keys.for_charter(in_force(PARKS))(record, 0) is None


def test_what_names_no_charter_waits_for_none() -> None:
    settled = _reserve(PARKS).model_copy(update={"kind": "settle", "case": None})
    assert parking_keys.for_charter(Control())(settled, 0) is None
