"""A dry run reads, goes on with what it read, and records the changes that it would have made."""

import json

from nightdesk.schemas.audit import ActionDetail
from nightdesk.schemas.records import BudgetEntry, Decision
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE, TIMERS
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.decide import Decide
from tests.processors.examples import answer, case, compiled, event, reply
from tests.schemas.details import detail_as
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, said
from tests.streams.stages.test_decide import Model
from tests.streams.stages.world import BROKEN, World, decision

DRY = compiled(("mode: live", "mode: dry_run"))
CUSTOMER = event(customer="c-7")


async def _decide(said_by_model: str, **changes: object) -> Decision:
    bench = Bench(Decide(in_force(DRY), Model(*[reply(said_by_model)] * 3), Clock()))
    [made] = said(await bench.take(DECIDE, case(DRY, CUSTOMER, **changes)), ACT, Decision)
    return made


async def test_a_dry_run_goes_through_research_to_the_changes_it_would_have_made() -> None:
    world = World()
    bench = Bench(Act(in_force(DRY), world, Clock()))
    looked = await bench.take(ACT, await _decide(answer("look")))
    assert world.handlers == ["history"]
    [research] = audited(looked)
    assert (research.status, research.disposition) == ("running", "dry_run")
    [entry] = [entry for entry in said(looked, BUDGET, BudgetEntry) if entry.kind == "reserve"]
    assert entry.case is not None
    assert (entry.case.step, entry.case.history[0].outcomes[0].status) == (1, "done")

    next_case = {"step": 1, "history": entry.case.history, "spent": entry.case.spent}
    acted = await bench.take(ACT, await _decide(answer("respond", text="It is there."), **next_case), offset=1)
    assert world.handlers == ["history"], "nothing was written"
    [record] = audited(acted)
    assert (record.status, record.reason) == ("dry_run", "nothing was changed: the charter's mode is dry_run")
    send, note = detail_as(ActionDetail, record).outcomes
    assert (send.status, json.loads(send.result)) == ("would_have", {"sent": {"text": "It is there."}})
    assert (note.status, note.attempts) == ("would_have", 0), "it needs the result of a change that was not made"
    assert not any(message.topic == f"t.{TIMERS.name}" for message in acted.messages)


async def test_what_would_need_approval_is_only_shown() -> None:
    world = World()
    made = await _decide(answer("refund", amount=50))
    [record] = audited(await Bench(Act(in_force(DRY), world, Clock())).take(ACT, made))
    assert (record.status, world.calls) == ("dry_run", [])
    assert record.reason == "nothing was changed: in live mode it would need approval: refund always needs approval"


async def test_a_forged_reason_makes_no_dry_run_read_what_a_person_would_have_to_approve() -> None:
    asks = compiled(
        ("mode: live", "mode: dry_run"), ("kind: research\n    approval: never", "kind: research\n    approval: always")
    )
    world = World()
    forged = decision(case(asks, CUSTOMER), "look", "research").model_copy(
        update={"disposition": "dry_run", "disposition_reason": "the charter's mode is dry_run"}
    )
    [record] = audited(await Bench(Act(in_force(asks), world, Clock())).take(ACT, forged))
    assert (record.status, world.calls) == ("dry_run", [])


async def test_a_read_that_fails_says_where_live_mode_would_have_stopped() -> None:
    world = World(history=[BROKEN])
    [record] = audited(await Bench(Act(in_force(DRY), world, Clock())).take(ACT, await _decide(answer("look"))))
    assert record.status == "dry_run"
    assert record.reason.startswith("in live mode: step 0 (history) failed: 400")


async def test_the_same_record_again_reads_nothing_twice() -> None:
    world = World()
    bench = Bench(Act(in_force(DRY), world, Clock()))
    made = await _decide(answer("look"))
    first, again = await bench.take(ACT, made), await bench.take(ACT, made)
    assert world.handlers == ["history"]
    assert [record.record_id for record in audited(first)] == [record.record_id for record in audited(again)]
