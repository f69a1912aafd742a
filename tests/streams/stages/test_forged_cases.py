"""What somebody can reach who may produce to the topic `decide`: a case with money that the budget stage never
reserved.

The cap of one case holds whatever a case says. The day's budget limits what is reserved, so it does not limit cases
that reserved nothing: they are paid and appear in the ledger. docs/guarantees.md names this limit.
"""

from typing import Any

import pytest

from nightdesk.processors.ledger import Account, Fact, day_of
from nightdesk.processors.ledger.entries import reservation
from nightdesk.processors.provenance import Forged
from nightdesk.schemas.audit import WaitDetail
from nightdesk.schemas.records import BudgetEntry, Case, Spent
from nightdesk.schemas.topics import BUDGET, DECIDE
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.decide import Decide
from tests.processors.examples import NOW, answer, case, compiled, event, reply
from tests.schemas.details import detail_as
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, said
from tests.streams.stages.test_decide import Model

CAP_MICROUSD = 500_000
PER_DAY_MICROUSD = 1_000_000
CHARTER = compiled(("per_day_usd: 25, per_case_usd: 0.50", "per_day_usd: 1, per_case_usd: 0.50"))
COST_MICROUSD = 400_000


def _invented(number: int = 1, **changes: Any) -> Case:
    """A case of an event that never happened and was never entered in the ledger."""
    found = case(CHARTER, event().model_copy(update={"id": f"forged-{number}"}), reserved_microusd=CAP_MICROUSD)
    return found.model_copy(update=changes)


FORGED = {
    "more money than a case may cost": {"reserved_microusd": CAP_MICROUSD + 1},
    "all the money there is": {"reserved_microusd": 2**62},
    "more money, after a step that spent some": {
        "step": 1,
        "spent": Spent(cost_microusd=1),
        "reserved_microusd": 500_001,
    },
    "another case's id": {"case_id": case(CHARTER).case_id},
    "a first step that has acted": {"spent": Spent(actions=1)},
    "a first step that has called": {"spent": Spent(external_calls=1)},
}


@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED.keys())
async def test_for_what_no_stage_of_ours_said_no_model_is_asked(changes: dict[str, Any]) -> None:
    model = Model()
    bench = Bench(Decide(in_force(CHARTER), model, Clock()))
    with pytest.raises(Forged):
        await bench.take(DECIDE, _invented(**changes))
    assert model.asked == []
    assert len(bench.tables["replies"]) == 0


async def test_what_is_spent_without_asking_is_in_the_books_and_stops_those_who_ask() -> None:
    """This also shows the limit: three invented cases spend more than the day has."""
    control = in_force(CHARTER)
    deciding = Bench(
        Decide(control, Model(*[reply(answer("respond", text="x"), cost_microusd=COST_MICROUSD)] * 3), Clock())
    )
    budget = Bench(Budget(control, Clock()))
    for number in range(3):
        for line in said(await deciding.take(DECIDE, _invented(number), number), BUDGET, BudgetEntry):
            await budget.take(BUDGET, line, number)
    assert _gone(budget) == 3 * COST_MICROUSD > PER_DAY_MICROUSD
    writes = await budget.take(BUDGET, reservation(case(CHARTER, reserved_microusd=0), NOW), 9)
    assert said(writes, DECIDE, Case) == []
    [deferred] = audited(writes)
    assert (deferred.status, detail_as(WaitDetail, deferred).cause) == ("deferred", "spent")


OTHERS = {
    "the case of another agent": {"agent": "another"},
    "another case": {"case_id": "another"},
    "another step": {"step": 1},
}


@pytest.mark.parametrize("kind", ["reserve", "returned"])
@pytest.mark.parametrize("names", OTHERS.values(), ids=OTHERS.keys())
async def test_an_entry_is_of_the_case_that_it_has(kind: str, names: dict[str, Any]) -> None:
    """The ledger of an agent has one writer, which has the partition of the agent that the entry names."""
    bench = Bench(Budget(in_force(CHARTER), Clock()))
    asked = reservation(case(CHARTER, reserved_microusd=0, returns=int(kind == "returned")), NOW)
    forged = asked.model_copy(update={"kind": kind, "entry_id": "forged", **names})
    with pytest.raises(Forged, match="has the case desk/"):
        await bench.take(BUDGET, forged)
    assert len(bench.tables["ledger"]) == len(bench.tables["waiting"]) == 0
    await bench.take(BUDGET, asked, 1)
    assert len(bench.tables["ledger"]) == 1


def _gone(budget: Bench) -> int:
    account = Account()
    for partition in budget.tables["ledger"].partitions():
        for _, value in budget.tables["ledger"].items(partition):
            account.replace(None, Fact.model_validate_json(value))
    return account.balance(day_of(NOW)).consumed_microusd
