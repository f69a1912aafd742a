"""What stages remember is read again as it was, and what people agreed to keeps its hash."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from processors.ledger import Fact
from processors.provenance import payload_sha256
from schemas.records import Decision, StepOutcome
from streams.stages.approvals import Held
from streams.stages.errands import Away, Grant, Kept
from streams.stages.facts import stored
from tests.schemas.samples import SAMPLES

MOMENT = datetime(2026, 11, 26, 3, 4, 5, 678, UTC)
[DECISION] = [sample for sample in SAMPLES if isinstance(sample, Decision)]
OUTCOME = StepOutcome(step_id="s", position=0, handler="h", status="done", result='"ü"', started_at=MOMENT)


@pytest.mark.parametrize(
    "fact",
    [
        Kept(at=MOMENT),
        Kept(
            at=MOMENT.replace(microsecond=0),
            payload_sha256="ab",
            outcomes=(OUTCOME, OUTCOME),
            intents=("s",),
            attempts={"s": 2},
            away=Away(since=MOMENT, waits=1),
            grants={"s": Grant(number=1, slot_at=MOMENT, used=True)},
        ),
        Held(decision=DECISION, payload_sha256="ab", expires_at=MOMENT),
        Fact(agent="a", case_id="c", state="open", day="2026-11-26", at=MOMENT.timestamp(), held_actions=("x", "y")),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_a_fact_is_read_as_it_was(fact: BaseModel) -> None:
    assert type(fact).model_validate_json(stored(fact)) == fact
    assert type(fact).model_validate_json(fact.model_dump_json()) == fact, "as older programs kept it"


@given(at=st.datetimes(timezones=st.just(UTC)) | st.integers(0, 10**9).map(lambda s: MOMENT + timedelta(seconds=s)))
def test_what_people_agreed_to_keeps_its_hash(at: datetime) -> None:
    case = DECISION.case.model_copy(update={"event": DECISION.case.event.model_copy(update={"time": at})})
    decision = DECISION.model_copy(update={"case": case})
    shown = {
        "decision_id": decision.decision_id,
        "action": decision.action,
        "parameters": decision.parameters,
        "agent": case.agent,
        "charter_version": case.charter_version,
        "event": case.event.model_dump(mode="json"),
    }
    assert payload_sha256(decision) == sha256(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)).hexdigest()
