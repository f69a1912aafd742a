"""An event of which an agent made no case is offered to it again; an agent that took it never takes it twice."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.schemas.records import BudgetEntry, Event
from nightdesk.schemas.topics import BUDGET, INGEST
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.stages.ingest import Ingest
from tests.effort import examples
from tests.processors.examples import compiled, event
from tests.streams.stages.stage_harness import PARTITION, Bench, Clock, audited, in_force, order, said, words

GOOD = compiled()
# Charters that cannot take the example event: its `when` fails, it breaks the schema, and nobody listens to its type.
FAILING = compiled(('event.data.status == "open"', "event.data.missing == 1"))
OTHER = compiled(("agent: desk", "agent: other"))
OTHER_FAILING = compiled(("agent: desk", "agent: other"), ('event.data.status == "open"', "event.data.missing == 1"))
DEAF = compiled(("ticket.created", "parcel.lost"))
FULL = compiled(("5/1h", "1/1h, over_limit: refuse"))


def _promote(control: Control, *charters: CompiledCharter) -> None:
    for charter in charters:
        content, version, agent = charter.charter.to_json(), charter.version, charter.agent
        control.apply(order("charter", agent, f"{agent}/{version}", charter=content, charter_version=version))
        control.apply(order("promote", agent, f"{agent}/promoted", charter_version=version))


def _takers(writes: StagedWrites) -> list[str]:
    return [entry.agent for entry in said(writes, BUDGET, BudgetEntry)]


def _kinds(writes: StagedWrites) -> list[str]:
    return [line.kind for line in audited(writes)]


@pytest.mark.parametrize(("charter", "kind"), [(FAILING, "rejected"), (DEAF, "ignored")])
@pytest.mark.parametrize("offered_to", ["", "*", "desk"])
async def test_once_the_cause_is_gone_the_same_event_is_taken_and_only_once(
    charter: CompiledCharter, kind: str, offered_to: str
) -> None:
    control = in_force(charter)
    bench = Bench(Ingest(control, Clock()))
    assert _kinds(await bench.take(INGEST, event(), offset=1)) == [kind]
    assert _kinds(await bench.take(INGEST, event(), offset=2, offered_to=offered_to)) == [kind], "nothing changed"
    _promote(control, GOOD)
    assert _takers(await bench.take(INGEST, event(), offset=3, offered_to=offered_to)) == ["desk"]
    for again in ("", "*", "desk"):
        writes = await bench.take(INGEST, event(), offset=4, offered_to=again)
        [duplicate] = audited(writes)
        assert (_takers(writes), duplicate.reason) == ([], "an event with this source, id and subject came before")


async def test_what_a_limit_refused_is_offered_again() -> None:
    clock = Clock()
    bench = Bench(Ingest(in_force(FULL), clock))
    await bench.take(INGEST, event().model_copy(update={"id": "e-0"}), offset=0)
    assert _kinds(await bench.take(INGEST, event(), offset=1)) == ["refused"]
    clock.forward(3600)
    assert _takers(await bench.take(INGEST, event(), offset=2, offered_to="desk")) == ["desk"]


async def test_a_case_has_one_time_however_often_its_event_is_offered_or_redelivered() -> None:
    clock = Clock()
    bench = Bench(Ingest(in_force(FULL), clock))
    await bench.take(INGEST, event().model_copy(update={"id": "e-0"}), offset=0)
    [refused] = audited(await bench.take(INGEST, event(), offset=1))
    clock.forward(3600)
    first = await bench.take(INGEST, event(), offset=2, offered_to="desk")
    clock.forward(3600)
    again = await bench.take(INGEST, event(), offset=2, offered_to="desk")
    assert words(first) == words(again)
    [received], [entry] = audited(first), said(first, BUDGET, BudgetEntry)
    assert entry.case is not None
    assert received.time > refused.time
    assert refused.case_at == received.case_at == entry.case.case_at == refused.time


async def test_who_took_it_does_not_take_it_again_when_another_agent_is_offered_it_again() -> None:
    control = in_force(GOOD, OTHER_FAILING)
    bench = Bench(Ingest(control, Clock()))
    first = await bench.take(INGEST, event(), offset=1)
    assert (_takers(first), sorted(_kinds(first))) == (["desk"], ["received", "rejected"])
    _promote(control, OTHER)
    assert _takers(await bench.take(INGEST, event(), offset=2, offered_to="other")) == ["other"]
    assert _takers(await bench.take(INGEST, event(), offset=3, offered_to="*")) == []


@pytest.mark.parametrize(("offered_to", "takers"), [("", []), ("*", ["other"]), ("other", ["other"]), ("nobody", [])])
async def test_an_agent_that_was_promoted_later_takes_an_old_event_only_if_a_person_offers_it(
    offered_to: str, takers: list[str]
) -> None:
    control = in_force(GOOD)
    bench = Bench(Ingest(control, Clock()))
    await bench.take(INGEST, event(), offset=1)
    _promote(control, OTHER)
    assert _takers(await bench.take(INGEST, event(), offset=2, offered_to=offered_to)) == takers


async def test_an_offer_to_one_agent_goes_to_no_other() -> None:
    control = in_force(FAILING, OTHER_FAILING)
    bench = Bench(Ingest(control, Clock()))
    await bench.take(INGEST, event(), offset=1)
    _promote(control, GOOD, OTHER)
    assert _takers(await bench.take(INGEST, event(), offset=2, offered_to="other")) == ["other"]


async def test_an_offer_to_an_agent_that_does_not_listen_says_so() -> None:
    bench = Bench(Ingest(in_force(DEAF), Clock()))
    [ignored] = audited(await bench.take(INGEST, event(), offset=1, offered_to="desk"))
    assert ignored.reason == "no charter by desk accepts ticket.created"


@pytest.mark.parametrize("charter", [FAILING, DEAF, FULL])
async def test_what_made_no_case_says_where_it_lies(charter: CompiledCharter) -> None:
    bench = Bench(Ingest(in_force(charter), Clock()))
    await bench.take(INGEST, event().model_copy(update={"id": "e-0"}), offset=6)
    [line] = audited(await bench.take(INGEST, event(), offset=7))
    detail = json.loads(line.detail)
    assert (detail["partition"], detail["offset"]) == (PARTITION, 7)


@pytest.mark.parametrize("charter", [FAILING, DEAF, FULL, GOOD])
async def test_each_record_that_comes_again_has_its_own_words_whatever_was_promoted_since(
    charter: CompiledCharter,
) -> None:
    control = in_force(charter)
    bench = Bench(Ingest(control, Clock()))
    first = await bench.take(INGEST, event(), offset=1)
    _promote(control, OTHER, GOOD)
    assert words(await bench.take(INGEST, event(), offset=1)) == words(first)
    second = await bench.take(INGEST, event(), offset=2, offered_to="*")
    assert words(await bench.take(INGEST, event(), offset=2, offered_to="*")) == words(second)


CHARTERS = [GOOD, FAILING, DEAF, FULL, OTHER, OTHER_FAILING]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["comes", "comes", "comes again", "promote"]),
        st.integers(0, 5),
        st.sampled_from(["", "*", "desk", "other", "nobody"]),
    ),
    max_size=25,
)


@settings(max_examples=examples(50))
@given(STEPS)
async def test_no_agent_ever_takes_an_event_from_two_places(steps: list[tuple[str, int, str]]) -> None:
    control = in_force(FAILING)
    bench = Bench(Ingest(control, Clock()))
    came: list[tuple[Event, str]] = []
    taken: dict[tuple[str, str], set[int]] = {}
    for what, number, offered_to in steps:
        if what == "promote":
            _promote(control, CHARTERS[number])
            continue
        if what == "comes":
            came.append((event().model_copy(update={"id": f"e-{number % 3}"}), offered_to))
        if not came:
            continue
        offset = len(came) - 1 if what == "comes" else number % len(came)
        one, agent = came[offset]
        for taker in _takers(await bench.take(INGEST, one, offset=offset, offered_to=agent)):
            taken.setdefault((taker, one.id), set()).add(offset)
            assert agent in ("", "*", taker)
    assert all(len(places) == 1 for places in taken.values())
