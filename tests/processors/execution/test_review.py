"""What a review of a read decision makes of it: never less strict than the decision says of itself."""

import pytest

from nightdesk.processors.execution.review import review
from nightdesk.processors.gate import GateResult
from nightdesk.schemas.records import Verdict
from tests.processors.examples import case, compiled
from tests.streams.stages.world import decision

LIVE = compiled()
DRY = compiled(("mode: live", "mode: dry_run"))


@pytest.mark.parametrize(
    ("disposition", "approved", "result"),
    [
        ("execute", False, GateResult("execute", "")),
        ("dry_run", False, GateResult("dry_run", "as said")),
        ("dry_run", True, GateResult("dry_run", "as said")),
        ("needs_approval", False, GateResult("needs_approval", "as said")),
        ("needs_approval", True, GateResult("execute", "")),
    ],
)
def test_what_the_gates_let_pass_stays_as_strict_as_it_was_decided(
    disposition: str, approved: bool, result: GateResult
) -> None:
    read = decision(case(LIVE), text="tomorrow")
    read = read.model_copy(update={"disposition": disposition, "disposition_reason": "as said"})
    assert review(read, LIVE, approved=approved) == result


def test_what_the_gates_refuse_is_refused_though_it_calls_itself_a_dry_run() -> None:
    read = decision(case(LIVE), "delete").model_copy(update={"disposition": "dry_run"})
    assert review(read, LIVE, approved=False).disposition == "refused"


def test_a_dry_run_has_the_reason_of_its_charter_and_not_the_one_that_it_claims() -> None:
    read = decision(case(DRY), text="tomorrow")
    read = read.model_copy(update={"disposition": "dry_run", "disposition_reason": "as said"})
    assert review(read, DRY, approved=False) == GateResult("dry_run", "the charter's mode is dry_run")


@pytest.mark.parametrize("passed", [True, False])
def test_what_was_verified_beside_the_rules_counts_as_it_was_recorded(passed: bool) -> None:
    """Rules are evaluated again; what only the decide stage can know is not."""
    verdicts = (Verdict(rule="refund-cap", passed=False), Verdict(rule="votes", passed=passed, reason="no majority"))
    read = decision(case(LIVE), text="tomorrow").model_copy(update={"verdicts": verdicts})
    assert (review(read, LIVE, approved=False).disposition == "execute") is passed
