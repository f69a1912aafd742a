"""docs/scaling.md says of every table how long it remembers, and the program's constants agree."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from nightdesk.messaging.naming import PARKED
from nightdesk.processors import ledger
from nightdesk.streams.catalog import STAGES
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

PAGE = Path(__file__).parent.parent / "docs" / "scaling.md"
HOUR_S, DAY_S = 3600, 86_400
# What a row has to say, from the constants that the tables use.
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


def _rows() -> dict[tuple[str, str], list[str]]:
    rows = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            for stage in re.findall(r"`(\w+)`", cells[0]):
                rows[stage, cells[1].strip("`")] = cells[2:]
    return rows


def test_every_table_of_every_stage_is_there_and_no_other() -> None:
    tables = {(stage.name, table) for stage in STAGES for table in stage.tables}
    tables |= {(stage.name, PARKED) for stage in STAGES if stage.parks}
    assert tables - _rows().keys() == set(), "give each of these tables of a stage a row in docs/scaling.md"
    assert _rows().keys() - tables == set(), "no stage has these tables: remove their rows from docs/scaling.md"


@pytest.mark.parametrize("place", TIMES_S, ids="/".join)
def test_the_times_are_those_of_the_program(place: tuple[str, str]) -> None:
    how_long = _rows()[place][1]
    for seconds in TIMES_S[place]:
        assert re.search(rf"\b{_words(seconds)}\b", how_long), f"{_words(seconds)} in {how_long!r}"


def _words(seconds: int) -> str:
    number, unit = (seconds // DAY_S, "day") if seconds >= DAY_S else (seconds // HOUR_S, "hour")
    return f"{number} {unit}" + ("s" if number > 1 else "")


def test_every_row_says_what_happens_after_its_time() -> None:
    assert [place for place, cells in _rows().items() if not all(cells)] == []
