"""A table's specification says how long it remembers, as docs/scaling.md shows it; the constants agree."""

import re
from collections.abc import Mapping

import pytest

from nightdesk.processors import ledger
from nightdesk.streams.catalog import BY_NAME, STAGES
from nightdesk.streams.stages import (
    batches,
    circuits,
    execution,
    held_table,
    ingest,
    questions,
    rate_limits,
    returned_steps,
    subject_events,
    timers,
)

HOUR_S, DAY_S = 3600, 86_400
# What `for_how_long` has to say, from the constants that the tables use.
TIMES_S: Mapping[tuple[str, str], tuple[int, ...]] = {
    ("ingest", "seen"): (ingest.SEEN_FOR_S,),
    ("budget", "ledger"): (ledger.KEPT_S,),
    ("budget", "slots"): (rate_limits.KEPT_S,),
    ("decide", "replies"): (questions.REPLIES_KEPT_S, questions.RETURNED_KEPT_S),
    ("decide", "circuits"): (circuits.KEPT_S,),
    ("decide", "returned"): (returned_steps.KEPT_S,),
    ("act", "progress"): (execution.KEPT_S,),
    ("act", "approvals"): (held_table.KEPT_S,),
    ("act", "newer_events"): (subject_events.KEPT_S,),
    ("act", "circuits"): (circuits.KEPT_S,),
    ("timers", "timers"): (timers.FIRED_FOR_S,),
    ("timers", "subject_events"): (timers.REMEMBERED_S,),
    ("notify", "batches"): (batches.BATCH_KEPT_S,),
    ("notify", "told"): (batches.TOLD_FOR_S, batches.OPEN_FOR_S),
    ("notify", "told_cases"): (batches.OPEN_FOR_S,),
}


@pytest.mark.parametrize("place", TIMES_S, ids="/".join)
def test_the_times_are_those_of_the_program(place: tuple[str, str]) -> None:
    stage, table = place
    how_long = BY_NAME[stage].tables[table].for_how_long
    for seconds in TIMES_S[place]:
        assert re.search(rf"\b{_words(seconds)}\b", how_long), f"{_words(seconds)} in {how_long!r}"


def _words(seconds: int) -> str:
    number, unit = (seconds // DAY_S, "day") if seconds >= DAY_S else (seconds // HOUR_S, "hour")
    return f"{number} {unit}" + ("s" if number > 1 else "")


def test_every_table_says_what_it_remembers() -> None:
    without = [
        f"{stage.name}/{name}"
        for stage in STAGES
        for name, table in stage.tables.items()
        if not (table.remembers and table.for_how_long and table.afterwards)
    ]
    assert without == [], "complete the TableSpec of each; it is its row in docs/scaling.md"
