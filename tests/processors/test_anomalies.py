"""An agent is paused for what its last cases were, by the numbers, and for nothing older."""

from typing import Any

import pytest

from processors.anomalies import Watch, is_doubtful
from processors.charter.allowances import Anomalies
from processors.ledger import Fact
from tests.processors.examples import case, compiled
from tests.streams.stages.world import decision


def fact(number: int, *, at: float = 0.0, cost: int = 0, **more: Any) -> Fact:
    return Fact(
        agent="a",
        case_id=f"c-{number}",
        state="settled",
        day="2026-11-22",
        at=0.0,
        spent_microusd=cost,
        settled_at=at or 100.0 + number,
        **more,
    )


def watch(facts: list[Fact], **bounds: Any) -> Watch:
    watching = Watch(Anomalies.model_validate({"at_least": 4, **bounds}))
    for one in facts:
        watching.see(one)
        watching.see(one)  # the same line again is no second case
    return watching


def test_cases_that_cost_too_much() -> None:
    dear = [fact(number, cost=30_000) for number in range(4)]
    assert watch(dear, cost_per_case_usd="0.03").anomaly() == "", "as much as was expected"
    dear.append(fact(3, cost=4, step=1))
    assert watch(dear, cost_per_case_usd="0.03").anomaly() == (
        "4 cases cost 0.030001 dollars each, at most 0.03 expected"
    ), "the steps of a case are one case"
    assert watch(dear[:3], cost_per_case_usd="0.01").anomaly() == "", "three are too few to judge by"


def test_decisions_that_nobody_is_sure_of() -> None:
    facts = [fact(number, low_confidence=number < 2) for number in range(4)]
    assert watch(facts, low_confidence_rate=0.5).anomaly() == ""
    assert watch(facts, low_confidence_rate=0.4).anomaly() == (
        "2 of 4 decisions were under the confidence that they need, at most 40% expected"
    )


def test_playbooks_that_fail() -> None:
    ended = [fact(number, ended_at=200.0 + number, failed=number == 0) for number in range(4)]
    assert watch([*ended, fact(9)], error_rate=0.25).anomaly() == ""
    assert watch([*ended, fact(9)], error_rate=0.2).anomaly() == "1 of 4 playbooks failed, at most 20% expected"


def test_all_that_is_wrong_is_said() -> None:
    facts = [fact(number, cost=9, low_confidence=True, ended_at=1.0, failed=True) for number in range(4)]
    said = watch(facts, cost_per_case_usd="0.000001", error_rate=0, low_confidence_rate=0).anomaly()
    assert said.count(";") == 2


def test_what_is_older_counts_no_more() -> None:
    facts = [fact(number, low_confidence=number == 0) for number in range(5)]
    watching = watch(facts, low_confidence_rate=0)
    assert watching.anomaly()
    watching.forget_before(101.0)
    assert watching.anomaly() == ""
    watching.see(fact(0, low_confidence=True, at=300.0))  # said again, later
    watching.forget_before(102.0)
    assert watching.anomaly().startswith("1 of 4")


def test_a_step_that_was_not_settled_was_not_seen() -> None:
    unsettled = [fact(number, low_confidence=True).model_copy(update={"state": "unknown"}) for number in range(9)]
    assert watch(unsettled, low_confidence_rate=0).anomaly() == ""


@pytest.mark.parametrize(
    ("action", "confidence", "doubtful"),
    [
        ("respond", 0.75, False),
        ("respond", 0.74, True),
        ("escalate", 0.9, False),
        ("escalate", 0.0, True),
        ("delete", 1.0, True),
    ],
)
def test_doubt_is_confidence_under_what_the_action_needs(action: str, confidence: float, doubtful: bool) -> None:
    charter = compiled()
    made = decision(case(charter), action).model_copy(update={"confidence": confidence})
    assert is_doubtful(made, charter) == doubtful
