"""Which events an agent accepts, and which it rejects with which reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors import routing
from nightdesk.processors.scopes import event_scope
from nightdesk.schemas.ids import case_id
from tests.processors.examples import NOW, compiled, event

CHARTER = compiled()


def test_an_event_that_matches_is_taken() -> None:
    routed = routing.route(CHARTER, event())
    assert routed is not None
    assert (routed.agent, routed.charter_version, routed.trigger) == ("desk", CHARTER.version, 0)
    assert routing.problems(CHARTER, event()) == ()
    assert routing.match(CHARTER, event(), event_scope(event())).routed == routed


def test_the_case_is_named_by_its_cause() -> None:
    case = routing.open_case(CHARTER, event(), NOW)
    assert case.case_id == case_id("desk", "shop", "e-1", event().subject)
    assert (case.agent, case.charter_version, case.step, case.received_at) == ("desk", CHARTER.version, 0, NOW)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"type": "ticket.closed"}, ()),
        ({"type": "ticket.closed", "data": "not JSON"}, ()),
        ({"data": '{"status": "closed", "text": ""}'}, ()),
        ({"data": "not JSON"}, ("event.data is not JSON",)),
        ({"data": ""}, ("event.data is not JSON",)),
        ({"data": "[" * 2000}, ("event.data is not JSON",)),
        ({"data": "null"}, ('event.data: null is not of type "object"',)),
        ({"data": '{"status": "open"}'}, ('event.data: "text" is a required property',)),
        ({"data": '{"status": 1, "text": 2}'}, ('event.data.status: 1 is not of type "string"', "event.data.text")),
    ],
)
def test_what_is_not_taken(changes: dict[str, str], reasons: tuple[str, ...]) -> None:
    bad = event().model_copy(update=changes)
    assert routing.route(CHARTER, bad) is None
    found = routing.problems(CHARTER, bad)
    assert len(found) == len(reasons)
    assert all(text.startswith(reason) for text, reason in zip(found, reasons, strict=True)), found


def test_a_condition_that_fails_rejects_and_says_so() -> None:
    charter = compiled(("schema: ticket.schema.json\n", ""))
    bad = event().model_copy(update={"data": "{}"})
    assert routing.route(charter, bad) is None
    assert routing.problems(charter, bad) == (
        "on[0].when: there is no 'status' in the data: test it with has(…) first",
    )


def test_a_later_trigger_takes_what_an_earlier_one_cannot() -> None:
    second = '    when: event.data.status == "open"\n  - {type: ticket.created, subject: "t-*", schema: {}}'
    charter = compiled(('    when: event.data.status == "open"', second))
    bad = event().model_copy(update={"data": "[]"})
    routed = routing.route(charter, bad)
    assert routed is not None
    assert routed.trigger == 1
    assert routing.route(charter, bad.model_copy(update={"subject": "x-1"})) is None


@given(data=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_data_raises(data: str) -> None:
    odd = event().model_copy(update={"data": data})
    assert routing.route(CHARTER, odd) is None or routing.problems(CHARTER, odd) == ()
