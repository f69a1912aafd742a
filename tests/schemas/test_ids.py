"""Ids are functions of their causes, and nothing else."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from schemas import ids

TEXT = st.text(max_size=60)


@given(TEXT, TEXT, TEXT)
def test_an_id_is_the_uuid5_of_its_causes(agent: str, source: str, event_id: str) -> None:
    expected = uuid5(ids.NAMESPACE, "\x00".join(("case", agent, source, event_id)))
    assert UUID(ids.case_id(agent, source, event_id)) == expected
    assert ids.case_id(agent, source, event_id) == str(expected)


def test_each_kind_of_thing_has_ids_of_its_own() -> None:
    cause = ids.case_id("agent", "source", "event")
    derived = {
        ids.decision_id(cause, 0),
        ids.decision_id(cause, 1),
        ids.step_id(cause, 0),
        ids.undo_id(cause),
        ids.entry_id(cause, "reserve"),
        ids.entry_id(cause, "settle"),
        ids.record_id("decided", cause),
        ids.reminder_id(cause),
        ids.dead_letter_id("ingest", 0, 1),
        ids.next_dead_letter_id(cause),
    }
    assert len(derived) == 10
