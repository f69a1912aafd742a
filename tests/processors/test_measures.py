"""The baseline of a decision: that of its action, or of the events that it is about; and the budget of the day."""

from __future__ import annotations

import pytest

from nightdesk.processors.measures import measures
from nightdesk.schemas.audit_records import Measures
from nightdesk.schemas.records import Decision, Kind
from tests.processors.examples import NOW, case, compiled

OF_EVENTS = ("  - type: ticket.created\n", "  - type: ticket.created\n    baseline: {minutes: 6, usd: 3.5}\n")
OF_OTHERS = ("on:\n", "on:\n  - {type: ticket.closed, baseline: {minutes: 60}}\n")
OF_REFUND = ("  refund:\n    kind: respond\n", "  refund:\n    kind: respond\n    baseline: {minutes: 1.5}\n")
DAY = 25_000_000


@pytest.mark.parametrize(
    ("changes", "action", "kind", "wanted"),
    [
        ((), "respond", "respond", Measures(0, 0, DAY)),
        ((OF_EVENTS,), "respond", "respond", Measures(360, 3_500_000, DAY)),
        ((OF_EVENTS, OF_REFUND), "refund", "respond", Measures(90, 0, DAY)),
        ((OF_EVENTS, OF_REFUND), "respond", "respond", Measures(360, 3_500_000, DAY)),
        ((OF_OTHERS,), "respond", "respond", Measures(0, 0, DAY)),
        # These complete no case.
        ((OF_EVENTS,), "escalate", "escalate", Measures(0, 0, DAY)),
        ((OF_EVENTS,), "look", "research", Measures(0, 0, DAY)),
        ((OF_EVENTS,), "wait", "wait", Measures(0, 0, DAY)),
    ],
)
def test_a_decision_is_measured_by_the_charter_that_made_it(
    changes: tuple[tuple[str, str], ...], action: str, kind: Kind, wanted: Measures
) -> None:
    charter = compiled(*changes)
    decision = Decision(
        decision_id="d-1",
        case=case(charter),
        action=action,
        kind=kind,
        confidence=1.0,
        parameters="{}",
        reasoning="",
        provider="rules",
        disposition="execute",
        decided_at=NOW,
    )
    assert measures(charter, decision) == wanted
