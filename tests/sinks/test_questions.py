"""No question that we ship reads a large table whole, however much lies in it that it does not ask for."""

from __future__ import annotations

import pytest

from nightdesk.schemas.audit_kinds import KINDS, read
from nightdesk.sinks.questions import QUESTIONS, Question
from tests.sinks.loaded import Loaded

# Of the rows of the smallest large table. A week is an eighth of the span.
MOST_OF_A_TABLE = 0.4
# A question to roll-ups about half of the span: no more rows than the roll-ups have.
ROLLED_UP = 0.05
# Of all records, in all scans together. Of last night 0.19 are read, because something waits in each hour of the last
# three days of the loaded store; of a month ago it is 0.02.
NIGHTS = {"last night": 0.22, "two hours of a month ago": 0.04}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_question_reads_a_small_part_of_a_large_table(loaded: Loaded, question: Question) -> None:
    client, asked, size = loaded.client, loaded.asked, loaded.size
    summary = client.query(question.sql, parameters=dict(question.parameters(asked))).summary
    most = ROLLED_UP if "FROM hourly" in question.sql and question.asker == "dashboard" else MOST_OF_A_TABLE
    if (
        question.asker == "night"
    ):  # it tells of all events of its hours, and of each hour of which something still waits
        most, size = NIGHTS[question.name], int(client.query("SELECT count() FROM audit_records").result_rows[0][0])
    assert 0 < int(summary["read_rows"]) < most * size


def test_a_question_that_reads_everything_would_be_found(loaded: Loaded) -> None:
    client, size = loaded.client, loaded.size
    whole = client.query("SELECT status, count() FROM cases GROUP BY status").summary
    assert int(whole["read_rows"]) > MOST_OF_A_TABLE * size


def test_every_question_has_an_answer(loaded: Loaded) -> None:
    """One about nothing would read nothing. Events without a case were ignored, what waits was never answered, and the
    cases of the subject have ended.
    """
    client, asked = loaded.client, loaded.asked
    empty = {
        one.name for one in QUESTIONS if not client.query(one.sql, parameters=dict(one.parameters(asked))).result_rows
    }
    assert empty <= {
        "events without a case",
        "decisions that were answered",
        "answers to a decision",
        "similar approvals",
        "open cases beside an approval",
    }


def test_the_generated_records_have_details_of_their_kind(loaded: Loaded) -> None:
    """A detail that cannot be read is no error in ClickHouse: its fields are empty, and cost nothing to ask for."""
    rows = loaded.client.query("SELECT DISTINCT ON (kind) kind, detail FROM audit_records ORDER BY kind").result_rows
    unreadable = {kind for kind, detail in rows if not any(read(model, detail) for model in KINDS[kind].details)}
    assert len(rows) > 5
    assert unreadable == set()
