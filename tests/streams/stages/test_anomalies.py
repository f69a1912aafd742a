"""The anomaly breaker pauses an agent once, says why, and begins anew when somebody has resumed it."""

from typing import Any

import pytest

from processors.ledger.lines import asking, ended, settling
from schemas.records import BudgetEntry, Case, ControlCommand, Decision
from schemas.topics import ACT, BUDGET, CONTROL, DECIDE
from streams.charters import Control
from streams.runtime.changes import Changes
from streams.stages.act import Act
from streams.stages.anomalies import BREAKER
from streams.stages.budget import Budget
from streams.stages.decide import Decide
from tests.processors.examples import NOW, answer, case, compiled, event, reply
from tests.streams.stages.bench import Bench, Clock, audited, in_force, order, said, words
from tests.streams.stages.test_decide import Model
from tests.streams.stages.world import BROKEN, World, decision

WATCHED = ("mode: live", "mode: live\nanomalies: {window: 1h, at_least: 3, low_confidence_rate: 0.5, error_rate: 0.5}")
CHARTER = compiled(WATCHED)


def _case(number: int) -> Case:
    return case(CHARTER, event().model_copy(update={"id": f"e-{number}"}), reserved_microusd=0)


def _bench(control: Control | None = None, clock: Clock | None = None) -> Bench:
    return Bench(Budget(control or in_force(CHARTER), clock or Clock()))


def _settled(number: int, *, doubtful: bool, at_s: float = 0.0) -> BudgetEntry:
    made = decision(_case(number)).model_copy(update={"decided_at": Clock(NOW).now})
    entry = settling(made, low_confidence=doubtful)
    return entry.model_copy(update={"time": entry.time.fromtimestamp(NOW.timestamp() + at_s, NOW.tzinfo)})


async def _doubt(bench: Bench, numbers: range, at_s: float = 0.0) -> list[Changes]:
    """One case after the other that nobody was sure of; what each came to."""
    found = []
    for number in numbers:
        await bench.take(BUDGET, asking(_case(number), NOW), offset=10 * number)
        found.append(await bench.take(BUDGET, _settled(number, doubtful=True, at_s=at_s), offset=10 * number + 1))
    return found


def _pauses(changes: Changes) -> list[ControlCommand]:
    return said(changes, CONTROL, ControlCommand)


async def test_an_agent_out_of_its_bounds_is_paused_once_and_it_is_said_why() -> None:
    found = await _doubt(_bench(), range(6))
    assert [len(_pauses(changes)) for changes in found] == [0, 0, 1, 0, 0, 0]
    [pause] = _pauses(found[2])
    assert (pause.kind, pause.agent, pause.key, pause.issued_by) == ("pause", "desk", "desk", BREAKER)
    assert pause.reason == "3 of 3 decisions were under the confidence that they need, at most 50% expected"
    [record] = audited(found[2])
    assert (record.kind, record.agent, record.case_id, record.reason) == ("control", "desk", None, pause.reason)
    assert [message.partition for message in found[2].messages if message.topic == "t.control"] == [0]


async def test_the_record_that_paused_says_the_same_when_it_comes_again_also_to_a_new_process() -> None:
    clock = Clock()
    bench = _bench(clock=clock)
    found = await _doubt(bench, range(3))
    clock.forward(60)
    again = await bench.take(BUDGET, _settled(2, doubtful=True), offset=21)
    assert words(again) == words(found[2])
    new = _bench(clock=clock).inherit(bench)
    assert words(await new.take(BUDGET, _settled(2, doubtful=True), offset=21)) == words(found[2])
    assert words(await new.take(BUDGET, _settled(2, doubtful=True), offset=22)) == [], "a copy elsewhere says nothing"


async def test_after_a_resume_a_new_window_begins() -> None:
    control, clock = in_force(CHARTER), Clock()
    bench = _bench(control, clock)
    [*_, last] = await _doubt(bench, range(3))
    control.obey(_pauses(last)[0])
    clock.forward(60)
    control.obey(order("resume", "desk", "desk", time=clock.now))
    found = await _doubt(bench, range(3, 6), at_s=61)
    assert [len(_pauses(changes)) for changes in found] == [0, 0, 1]


async def test_who_is_paused_by_a_person_is_not_paused_again() -> None:
    control = in_force(CHARTER)
    control.obey(order("pause", "desk", "desk"))
    assert not any(_pauses(changes) for changes in await _doubt(_bench(control), range(6)))


async def test_a_new_process_has_seen_what_the_old_one_saw() -> None:
    old = _bench()
    await _doubt(old, range(2))
    [found] = await _doubt(_bench().inherit(old), range(2, 3))
    assert len(_pauses(found)) == 1


async def test_playbooks_that_fail_pause_it_too() -> None:
    bench = _bench()
    found = []
    for number in range(3):
        await bench.take(BUDGET, asking(_case(number), NOW))
        await bench.take(BUDGET, _settled(number, doubtful=False))
        failed = ended(decision(_case(number)), NOW, failed=True)
        found = _pauses(await bench.take(BUDGET, failed, offset=number))
    assert [pause.reason for pause in found] == ["3 of 3 playbooks failed, at most 50% expected"]


async def test_where_nobody_watches_nothing_is_paused_and_no_line_is_said() -> None:
    free = compiled()
    control = in_force(CHARTER, free)
    assert not any(_pauses(changes) for changes in await _doubt(_bench(control), range(6)))
    made = decision(case(free), text="x")
    acted = await Bench(Act(in_force(free), World(), Clock())).take(ACT, made)
    assert said(acted, BUDGET, BudgetEntry) == []


@pytest.mark.parametrize(("answers", "failed"), [({}, False), ({"send": [BROKEN]}, True)])
async def test_act_says_how_a_playbook_went(answers: dict[str, Any], failed: bool) -> None:
    bench = Bench(Act(in_force(CHARTER), World(**answers), Clock()))
    [line] = said(await bench.take(ACT, decision(case(CHARTER), text="x")), BUDGET, BudgetEntry)
    assert (line.kind, line.failed, line.agent) == ("ended", failed, "desk")


async def test_decide_says_how_sure_it_was_also_where_nothing_was_held() -> None:
    model = Model(reply(answer("respond", confidence=0.3, text="x")))
    free = case(CHARTER, event(text="hm"), reserved_microusd=0)
    for asked, doubtful in ((case(CHARTER), True), (free, True)):
        changes = await Bench(Decide(in_force(CHARTER), model, Clock())).take(DECIDE, asked)
        [line] = said(changes, BUDGET, BudgetEntry)
        assert line.low_confidence == doubtful
        assert len(said(changes, ACT, Decision)) == 1
