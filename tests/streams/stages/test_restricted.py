"""A charter that is promoted for what waits, too: of the old version and the new one the stricter value counts."""

import pytest

from nightdesk.processors.charter import CompiledCharter
from nightdesk.schemas.records import BudgetEntry, Case
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE
from nightdesk.streams.control import Control
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.decide import Decide
from tests.processors.examples import answer, case, compiled, reply
from tests.schemas.details import outcomes_of
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, order, said
from tests.streams.stages.test_decide import Model
from tests.streams.stages.world import BUSY, World, decision

# The second step of its answer calls another system, too, so that it can be waited for.
OLD = compiled(
    ("approval: always", "approval: never"),
    ("    - {do: note,", "    - {do: log,"),
    ("handlers:\n", "handlers:\n  log: {type: http, connection: desk, path: /log, read_only: true}\n"),
)
SMALL_CAP_MICROUSD = 100
DRY = compiled(("mode: live", "mode: dry_run"))
POOR = compiled(("per_day_usd: 25, per_case_usd: 0.50", "per_day_usd: 0.0001, per_case_usd: 0.0001"))
NO_ANSWERS = compiled(
    ("  respond:\n    kind: respond\n    confidence: 0.75\n", "  answer:\n    kind: respond\n    confidence: 0.75\n"),
    ("playbooks:\n  respond:", "playbooks:\n  answer:"),
    ("    action: respond\n", "    action: answer\n"),
    ("  examples: examples.jsonl\n", ""),
)
ANSWER = decision(case(OLD), text="tomorrow")


def _promoted(new: CompiledCharter, applies_to: str = "waiting") -> Control:
    control = in_force(OLD)
    _promote(control, new, applies_to)
    return control


def _promote(control: Control, new: CompiledCharter, applies_to: str) -> None:
    agent, version, content = new.agent, new.version, new.charter.to_json()
    control.apply(order("charter", agent, f"{agent}/{version}", charter=content, charter_version=version))
    control.apply(order("promote", agent, f"{agent}/promoted", charter_version=version, applies_to=applies_to))


def _act(control: Control, world: World) -> Bench:
    return Bench(Act(control, world, Clock()))


@pytest.mark.parametrize(("applies_to", "acts"), [("waiting", False), ("new", True)])
async def test_a_dry_run_that_is_promoted_for_what_waits_keeps_it_from_acting(applies_to: str, acts: bool) -> None:
    world = World()
    [record] = audited(await _act(_promoted(DRY, applies_to), world).take(ACT, ANSWER))
    assert ("send" in world.handlers, record.disposition) == (acts, "execute" if acts else "dry_run")


async def test_the_next_promotion_says_what_counts_for_what_waits() -> None:
    control, world = _promoted(DRY), World()
    _promote(control, POOR, "new")
    [record] = audited(await _act(control, world).take(ACT, ANSWER))
    assert (world.handlers, record.status) == (["send", "log"], "completed")


async def test_a_decision_for_an_action_that_was_removed_goes_to_a_person() -> None:
    world = World()
    writes = await _act(_promoted(NO_ANSWERS), world).take(ACT, ANSWER)
    [following] = said(writes, DECIDE, Case)
    assert (world.calls, following.step) == ([], 1)
    assert "allows no action" in following.escalate_because


async def test_what_was_done_before_the_promotion_stays_in_the_audit_and_nothing_more_is_done() -> None:
    control, world = in_force(OLD), World(log=[BUSY])
    bench = _act(control, world)
    await bench.take(ACT, ANSWER)
    assert world.handlers == ["send", "log"], "the second step will be tried again"
    _promote(control, DRY, "waiting")
    writes = await bench.take(ACT, ANSWER, 1)
    record, letter = audited(writes)
    assert (letter.kind, letter.case_id) == ("dead_letter", record.case_id), "a person hears of it"
    assert (record.status, [outcome.handler for outcome in outcomes_of(record)]) == ("failed", ["send"])
    assert "stopped after 1 steps: the charter's mode is dry_run" in record.reason
    assert world.handlers == ["send", "log"]


@pytest.mark.parametrize("stricter", [DRY, NO_ANSWERS])
async def test_what_has_ended_before_the_promotion_ends_the_same_when_it_is_delivered_again(
    stricter: CompiledCharter,
) -> None:
    control, world = in_force(OLD), World()
    bench = _act(control, world)
    [ended] = audited(await bench.take(ACT, ANSWER))
    _promote(control, stricter, "waiting")
    again = await bench.take(ACT, ANSWER)
    assert audited(again) == [ended], "it is completed, and no person and no dead letter gets it"
    assert (said(again, DECIDE, Case), world.handlers) == ([], ["send", "log"])


async def test_what_was_cut_short_is_when_it_is_delivered_again() -> None:
    control, world = in_force(OLD), World(log=[BUSY])
    bench = _act(control, world)
    await bench.take(ACT, ANSWER)
    _promote(control, DRY, "waiting")
    first, again = await bench.take(ACT, ANSWER, 1), await bench.take(ACT, ANSWER, 1)
    assert audited(again) == audited(first)
    assert world.handlers == ["send", "log"]


@pytest.mark.parametrize(("later", "applies_to"), [(POOR, "new"), (NO_ANSWERS, "waiting"), (NO_ANSWERS, "new")])
async def test_what_ended_under_a_stricter_charter_ends_the_same_whatever_is_promoted_next(
    later: CompiledCharter, applies_to: str
) -> None:
    """Neither does what ended as a dry run act when the emergency is over, nor is it restricted a second time."""
    control, world = _promoted(DRY), World()
    bench = _act(control, world)
    [ended] = audited(await bench.take(ACT, ANSWER))
    _promote(control, later, applies_to)
    again = await bench.take(ACT, ANSWER)
    assert (audited(again), said(again, DECIDE, Case), world.handlers) == ([ended], [], [])


@pytest.mark.parametrize(("applies_to", "is_larger"), [("waiting", False), ("new", True)])
async def test_a_smaller_budget_counts_for_the_next_step_of_an_older_case(applies_to: str, is_larger: bool) -> None:
    waiting = case(OLD, reserved_microusd=0)
    entry = BudgetEntry(
        entry_id="e",
        kind="reserve",
        agent="desk",
        case_id=waiting.case_id,
        amount_microusd=0,
        time=Clock().now,
        case=waiting,
    )
    writes = await Bench(Budget(_promoted(POOR, applies_to), Clock())).take(BUDGET, entry)
    [asks] = said(writes, DECIDE, Case)
    assert (asks.reserved_microusd > SMALL_CAP_MICROUSD) == is_larger


async def test_what_was_reserved_before_is_no_forgery_and_is_not_spent_beyond_the_smaller_cap() -> None:
    model = Model(reply(answer("respond", text="tomorrow"), cost_microusd=1000))
    writes = await Bench(Decide(_promoted(POOR), model, Clock())).take(DECIDE, case(OLD))
    assert (model.asked, "decided" in {record.kind for record in audited(writes)}) == ([], True)
