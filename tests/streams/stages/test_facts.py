"""Stored state is read as it was written, and the hash of what people agreed to stays the same."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from nightdesk.processors.execution import ExecutionState, Outage, RateGrant
from nightdesk.processors.ledger import Fact
from nightdesk.processors.playbook.absence import Moment
from nightdesk.processors.provenance import payload_sha256
from nightdesk.schemas.records import Decision, StepOutcome
from nightdesk.streams.api.tables import encode
from nightdesk.streams.stages.held_decisions import Held
from tests.schemas.samples import SAMPLES

MOMENT = datetime(2026, 11, 26, 3, 4, 5, 678, UTC)
[DECISION] = [sample for sample in SAMPLES if isinstance(sample, Decision)]
OUTCOME = StepOutcome(step_id="s", position=0, handler="h", status="done", result='"ü"', started_at=MOMENT)


@pytest.mark.parametrize(
    "fact",
    [
        ExecutionState(at=MOMENT),
        ExecutionState(
            at=MOMENT.replace(microsecond=0),
            payload_sha256="ab",
            outcomes=(OUTCOME, OUTCOME),
            intents={"s": MOMENT, "t": None},
            attempts={"s": 2},
            outage=Outage(since=MOMENT, waits=1),
            grants={"s": RateGrant(number=1, slot_at=MOMENT, used=True)},
            missed_at={"s": Moment("p", 1.5)},
        ),
        Held(decision=DECISION, payload_sha256="ab", expires_at=MOMENT),
        Fact(agent="a", case_id="c", state="open", day="2026-11-26", at=MOMENT.timestamp(), held_actions=("x", "y")),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_a_fact_is_read_as_it_was(fact: BaseModel) -> None:
    assert type(fact).model_validate_json(encode(fact)) == fact
    assert type(fact).model_validate_json(fact.model_dump_json()) == fact, "as older programs kept it"


@given(st.integers(-86_400, 86_400), st.integers(-86_400, 86_400))
def test_no_time_of_a_state_is_ahead_of_the_clock_that_reads_it(outage_s: int, intent_s: int) -> None:
    """Field by field, because an update of a removed field would change nothing without an error."""
    since, sent_at = MOMENT + timedelta(seconds=outage_s), MOMENT + timedelta(seconds=intent_s)
    state = ExecutionState(at=MOMENT, outage=Outage(since=since, waits=2), intents={"s": sent_at, "t": None})
    read = state.as_of(MOMENT)
    assert read.outage == Outage(since=min(since, MOMENT), waits=2)
    assert read.intents == {"s": min(sent_at, MOMENT), "t": MOMENT}


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


GROWTH_PER_FACT = """
import resource
from nightdesk.processors.ledger import Fact
from nightdesk.streams.api.state_store import Put
from nightdesk.streams.api.tables import encode
from tests.streams.runtime.memory import table

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

ledger, count = table("ledger"), 20_000
def put(number):
    fact = Fact(agent="a", case_id=str(number), state="open", day="2026-11-26", at=0.0)
    ledger.write(Put(ledger, 1, b"%d" % number, encode(fact), 0.0))

put(-1)
before = resident()
for number in range(count):
    put(number)
print((resident() - before) // count)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no resident memory to be read here")
def test_a_fact_takes_about_as_much_memory_as_it_has_bytes() -> None:
    """orjson's result keeps the 4 kB buffer in which it was written, which neither its size nor tracemalloc shows."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-W", "ignore", "-c", GROWTH_PER_FACT]
    grown = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=True)
    assert int(grown.stdout) < 1_500
