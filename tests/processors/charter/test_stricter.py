"""Of two charters the stricter value counts: the result is never laxer than either."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors.charter import Charter, compile_charter, stricter
from nightdesk.processors.charter.actions import FourEyes
from nightdesk.processors.charter.allowances import Bounds, TaskBudget
from nightdesk.processors.charter.stricter import stricter_rate
from nightdesk.processors.quantities import Rate
from tests.effort import examples
from tests.processors.examples import compiled

CHARTER = compiled().charter
RATES = st.builds(Rate, count=st.integers(1, 30), per_seconds=st.integers(1, 60))
MAYBE_RATES = st.none() | RATES
USD = st.integers(0, 1000).map(lambda cents: Decimal(cents) / 100)
CAPS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.builds(TaskBudget, per_day_usd=USD))
BOUNDS = st.builds(
    Bounds,
    actions=st.integers(1, 100),
    external_calls=st.integers(1, 1000),
    model_calls=st.integers(1, 100),
    seconds=st.integers(1, 1000),
    stale_after=st.integers(1, 10**6),
    when_stale=st.sampled_from(["ask", "drop"]),
)


FOUR_EYES = st.none() | st.builds(
    FourEyes,
    approvers=st.integers(2, 5),
    requested_by=st.lists(st.sampled_from(["event.data.text", "event.source"]), unique=True).map(tuple),
    not_promoter=st.booleans(),
)


@st.composite
def charters(draw: st.DrawFn) -> Charter:
    """The example with other actions, limits, budgets and bounds, and no examples for the model."""
    names = draw(st.sets(st.sampled_from(sorted(CHARTER.actions)), min_size=1))
    actions = {
        name: action.model_copy(
            update={
                "confidence": draw(st.floats(0, 1)),
                "approval": draw(st.sampled_from(["never", "always", "below_threshold"])),
                "four_eyes": draw(FOUR_EYES),
                "at_most": draw(st.none() | st.integers(1, 1000)) if action.kind == "wait" else None,
            }
        )
        for name, action in CHARTER.actions.items()
        if name in names
    }
    per_day = draw(USD)
    urgent = draw(st.sampled_from([None, 'event.subject == "vip"', 'event.subject == "other"']))
    budget = {
        "per_day_usd": per_day,
        "per_case_usd": draw(st.sampled_from([Decimal(0), per_day / 2])).quantize(Decimal("0.000001")),
        "urgent": urgent,
        "reserve_usd": Decimal(0) if urgent is None else (per_day / 4).quantize(Decimal("0.000001")),
        "events": draw(CAPS),
        "actions": draw(CAPS),
    }
    changes: dict[str, Any] = {
        "mode": draw(st.sampled_from(["live", "dry_run"])),
        "confidence_floor": draw(st.floats(0, 1)),
        "limits": {
            "per_subject": draw(MAYBE_RATES),
            "agent": draw(MAYBE_RATES),
            "actions": draw(st.dictionaries(st.sampled_from(["a", "b"]), RATES)),
        },
        "budget": budget,
        "bounds": draw(BOUNDS),
        "actions": actions,
        "fallback": (),
        "decide": CHARTER.decide.model_copy(update={"examples": None}),
    }
    return Charter.model_validate({**{name: getattr(CHARTER, name) for name in Charter.model_fields}, **changes})


def most_in(rate: Rate, seconds: int) -> int:
    """The most that a rate lets through within any so many seconds: whole counts as early as it allows."""
    moments = [burst * rate.per_seconds for burst in range(seconds // rate.per_seconds + 2) for _ in range(rate.count)]
    return max(sum(begins <= at < begins + seconds for at in moments) for begins in set(moments))


@given(RATES, RATES)
def test_a_rate_exceeds_neither(one: Rate, other: Rate) -> None:
    both = stricter_rate(one, other)
    for rate in (one, other):
        assert most_in(both, rate.per_seconds) <= rate.count


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("5/1h", "3/1h", "3/1h"),
        ("1/1h", "100/1d", "1/1h"),
        ("5/1h", "10/1d", "5/1d"),
        ("10/1m", "10/1h", "10/1h"),
    ],
)
def test_a_rate_that_implies_the_other_stands(one: str, other: str, both: str) -> None:
    first, second, expected = (Rate.model_validate(text) for text in (one, other, both))
    assert stricter_rate(first, second) == stricter_rate(second, first) == expected


@settings(max_examples=examples(40), deadline=None)
@given(charters(), charters())
def test_the_result_is_never_laxer_than_either(old: Charter, new: Charter) -> None:
    both = stricter(old, new)
    for charter in (old, new):
        assert both.mode == "dry_run" or charter.mode == "live"
        assert both.actions.keys() <= charter.actions.keys()
        for name, action in both.actions.items():
            of_charter = charter.actions[name]
            assert action.confidence >= of_charter.confidence
            assert action.approval == "always" or of_charter.approval != "always"
            assert action.longest_wait_s <= of_charter.longest_wait_s
        assert both.confidence_floor >= charter.confidence_floor
        assert both.budget.per_day_microusd <= charter.budget.per_day_microusd
        assert both.budget.per_case_microusd <= charter.budget.per_case_microusd
        not_urgent = [each.per_day_usd - each.reserve_usd for each in (both.budget, charter.budget)]
        assert not_urgent[0] <= not_urgent[1]
        assert both.budget.urgent in (None, charter.budget.urgent)
        for part in ("events", "actions"):
            caps, of_both = getattr(charter.budget, part), getattr(both.budget, part)
            assert all(of_both[name].per_day_usd <= cap.per_day_usd for name, cap in caps.items())
        rates = {"per_subject": charter.limits.per_subject, "agent": charter.limits.agent}
        for name, rate in rates.items():
            assert rate is None or most_in(getattr(both.limits, name), rate.per_seconds) <= rate.count
        for name, rate in charter.limits.actions.items():
            assert most_in(both.limits.actions[name], rate.per_seconds) <= rate.count
        for name, action in both.actions.items():
            if (one := charter.actions[name].four_eyes) is not None:
                assert action.four_eyes is not None
                assert action.four_eyes.approvers >= one.approvers
                assert action.four_eyes.not_promoter >= one.not_promoter
                assert set(action.four_eyes.requested_by) >= set(one.requested_by)
        for name in ("actions", "external_calls", "model_calls", "seconds", "stale_after"):
            assert getattr(both.bounds, name) <= getattr(charter.bounds, name)
        assert both.bounds.when_stale == "drop" or charter.bounds.when_stale == "ask"


@settings(max_examples=examples(10), deadline=None)
@given(charters())
def test_a_charter_and_itself_come_to_itself_and_can_be_compiled(charter: Charter) -> None:
    assert stricter(charter, charter) == charter
    assert compile_charter(stricter(charter, CHARTER)).agent == charter.agent


def test_the_rest_is_that_of_the_version_that_the_case_started_with() -> None:
    other = compiled(
        ("description: Answers tickets.", "description: Another."), ("path: /replies", "path: /other")
    ).charter
    both = stricter(CHARTER, other)
    assert (both.description, both.handlers, both.playbooks) == (
        CHARTER.description,
        CHARTER.handlers,
        CHARTER.playbooks,
    )
