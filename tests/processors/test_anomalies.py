"""An agent is paused because of its last cases, with the numbers, and not because of older ones."""

from random import Random
from typing import Any, get_args

import pytest

from nightdesk.processors.anomalies import AnomalyDetector
from nightdesk.processors.charter.allowances import Anomalies, AnomalyBound, EnforcedUnlessTold, ObservedUnlessTold
from nightdesk.processors.ledger import Fact
from nightdesk.processors.ledger.entries import refusal
from nightdesk.schemas.records import Fallback
from tests.processors.examples import case, compiled
from tests.streams.stages.world import decision

BOUNDS: tuple[AnomalyBound, ...] = (*get_args(EnforcedUnlessTold), *get_args(ObservedUnlessTold))


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


def watch(facts: list[Fact], **bounds: Any) -> AnomalyDetector:
    watching = AnomalyDetector(Anomalies.model_validate({"at_least": 4, **bounds}))
    for one in facts:
        watching.observe(one)
        watching.observe(one)  # the same line again is no second case
    return watching


def test_cases_that_cost_too_much() -> None:
    dear = [fact(number, cost=30_000) for number in range(4)]
    assert watch(dear, cost_per_case_usd="0.03").anomaly() == "", "as much as was expected"
    assert watch(dear, cost_per_case_usd="0.029").anomaly() == (
        "4 cases cost 0.030000 dollars each, at most 0.029 expected"
    )
    steps = [fact(number, cost=15_000, step=step) for number in range(4) for step in range(2)]
    assert watch(steps, cost_per_case_usd="0.029").anomaly() == watch(dear, cost_per_case_usd="0.029").anomaly(), (
        "the steps of a case are one case"
    )
    assert watch(dear[:3], cost_per_case_usd="0.01").anomaly() == "", "three are fewer than at_least"


def test_one_case_that_costs_much_is_no_average_that_is_too_high() -> None:
    facts = [fact(number, cost=1_000_000 if number == 7 else 1_000) for number in range(20)]
    assert watch(facts, cost_per_case_usd="0.03").anomaly() == "", "the average is 0.05, and nothing proves it"
    facts += [fact(number, cost=100_000 + number) for number in range(20, 60)]
    assert watch(facts, cost_per_case_usd="0.03").anomaly()


@pytest.mark.parametrize(
    ("bad", "of", "at_most", "exceeded"),
    [
        (4, 4, 0.2, True),
        (4, 4, 0.5, False),
        (9, 9, 0.5, False),
        (10, 10, 0.5, True),
        (2, 4, 0.4, False),
        (1, 4, 0.2, False),
        (12, 20, 0.2, True),
        (12, 20, 0.5, False),
        (1, 4, 0.0, True),
        (0, 4, 0.0, False),
        (4, 4, 1.0, False),
        (3, 3, 0.2, False),  # fewer than at_least
    ],
)
@pytest.mark.parametrize(
    ("bound", "marks", "text"),
    [
        (
            "low_confidence_rate",
            {"low_confidence": True},
            "decisions were below the confidence that their action needs",
        ),
        ("refusal_rate", {"refused": True}, "decisions were refused"),
        ("undecided_rate", {"undecided": True}, "cases were decided by no model and no rule"),
        ("slow_rate", {"latency_ms": 30_001}, "decisions took longer than slow_after"),
        (
            "error_rate",
            {"ended_at": 200.0, "failed": True},
            "cases had a failed step, an unknown result or a dead letter",
        ),
    ],
)
def test_a_share_that_is_clearly_too_high(
    bad: int, of: int, at_most: float, exceeded: bool, bound: str, marks: dict[str, Any], text: str
) -> None:
    good = {"ended_at": 200.0, "latency_ms": 30_000}
    facts = [fact(number, **good | (marks if number < bad else {})) for number in range(of)]
    expected = f"{bad} of {of} {text}, at most {at_most:.0%} expected" if exceeded else ""
    assert watch(facts, **{bound: at_most}).anomaly() == expected


@pytest.mark.parametrize("at_most", [0.05, 0.2, 0.5])
def test_it_is_silent_at_noise_and_speaks_when_twice_as_much_goes_wrong(at_most: float) -> None:
    def alarms(share: float) -> int:
        found = 0
        for seed in range(40):
            chance, watching = Random(seed), AnomalyDetector(Anomalies(error_rate=at_most))
            for number in range(150):
                watching.observe(fact(number, ended_at=200.0 + number, failed=chance.random() < share))
                if watching.anomalies():
                    found += 1
                    break
        return found

    assert alarms(at_most / 2) <= 1
    assert alarms(min(2 * at_most, 1.0)) >= 20


def test_an_escalation_that_follows_does_not_make_up_for_a_failure() -> None:
    failed = [fact(number, ended_at=200.0, failed=True) for number in range(10)]
    escalated = [fact(number, step=1, ended_at=201.0) for number in range(10)]
    expected = "10 of 10 cases had a failed step, an unknown result or a dead letter, at most 50% expected"
    assert watch(failed + escalated, error_rate=0.5).anomaly() == expected
    assert watch(escalated + failed, error_rate=0.5).anomaly() == expected
    watching = watch(failed + escalated, error_rate=0.5)
    watching.forget_before(200.5)
    assert watching.anomaly() == "", "the failures are too old, the escalations are not"


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
    watching.observe(fact(0, low_confidence=True, at=300.0))  # said again, later
    watching.forget_before(102.0)
    assert watching.anomaly().startswith("1 of 4")


def test_a_step_that_was_not_settled_was_not_seen() -> None:
    unsettled = [fact(number, low_confidence=True).model_copy(update={"state": "unknown"}) for number in range(9)]
    assert watch(unsettled, low_confidence_rate=0).anomaly() == ""


def test_what_was_spent_in_one_window() -> None:
    facts = [fact(number, cost=10_000) for number in range(3)]
    assert watch(facts, spend_usd="0.03").anomaly() == "", "as much as was expected"
    facts.append(fact(9, cost=1))
    assert watch(facts, spend_usd="0.03").anomaly() == (
        "0.030001 dollars were spent in 3600 s, at most 0.03 expected"
    ), "one case is enough: money has no at_least"


def test_every_bound_that_is_passed_is_named() -> None:
    facts = [fact(number, refused=True, low_confidence=True, cost=1) for number in range(4)]
    found = watch(facts, refusal_rate=0.2, low_confidence_rate=0.2, spend_usd="0.000001").anomalies()
    assert [anomaly.bound for anomaly in found] == ["spend_usd", "low_confidence_rate", "refusal_rate"]


@pytest.mark.parametrize(
    ("mode", "enforced"),
    [
        (None, {"cost_per_case_usd", "error_rate", "low_confidence_rate"}),
        ("observe", set()),
        ("enforce", set(BOUNDS)),
    ],
)
def test_what_is_enforced_unless_the_charter_says_otherwise(mode: Any, enforced: set[str]) -> None:
    policy = Anomalies.model_validate({"error_rate": 0.1, "mode": mode})
    assert {bound for bound in BOUNDS if policy.enforces(bound)} == enforced


def test_a_decision_is_refused_by_the_gates_or_by_its_model() -> None:
    made = decision(case(compiled()))
    assert not refusal(made)
    assert refusal(made.model_copy(update={"disposition": "refused"}))
    declined = Fallback(provider="anthropic", reason="refused")
    assert refusal(made.model_copy(update={"fallbacks": (declined,)}))
