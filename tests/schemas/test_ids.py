"""Ids are functions of their causes, and nothing else; no two tuples of causes give one id."""

from uuid import UUID, uuid5

from hypothesis import example, given
from hypothesis import strategies as st

from nightdesk.schemas import ids

TEXT = st.text(max_size=60)
# Where parts meet, what stands there matters: lengths, the separators of every encoding that we had, and nothing.
TRICKY = st.text(st.sampled_from("01:|/ \x00a"), max_size=6)
PARTS = st.lists(TRICKY, max_size=5).map(tuple)


@given(TEXT, TEXT, TEXT, TEXT)
def test_an_id_is_the_uuid5_of_its_causes(agent: str, source: str, event_id: str, subject: str) -> None:
    causes = ("case", agent, source, event_id, subject)
    expected = uuid5(ids.NAMESPACE, "".join(f"{len(cause)}:{cause}" for cause in causes))
    assert UUID(ids.case_id(agent, source, event_id, subject)) == expected
    assert ids.case_id(agent, source, event_id, subject) == str(expected)


@given(PARTS, PARTS)
@example(("a\x00b", "c"), ("a", "b\x00c"))
@example(("1:a", ""), ("", "1:a"))
@example(("", ""), ("0:",))
def test_different_parts_never_give_one_key(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (ids.composite_key(*one) == ids.composite_key(*other)) == (one == other)


@given(st.tuples(TRICKY, TRICKY, TRICKY, TRICKY), st.tuples(TRICKY, TRICKY, TRICKY, TRICKY))
@example(("desk", "shop\x00a", "b", "s"), ("desk", "shop", "a\x00b", "s"))
@example(("desk", "shop", "a", "s"), ("desk", "shop", "a", "t"))
def test_every_part_of_an_event_names_its_case(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (ids.case_id(*one) == ids.case_id(*other)) == (one == other)


def test_each_kind_of_thing_has_ids_of_its_own() -> None:
    cause = ids.case_id("agent", "source", "event", "subject")
    derived = {
        ids.decision_id(cause, 0),
        ids.decision_id(cause, 1),
        ids.step_id(cause, 0),
        ids.undo_id(cause),
        ids.entry_id(cause, "reserve"),
        ids.entry_id(cause, "settle"),
        ids.record_id("decided", cause),
        ids.timer_id(cause),
        ids.dead_letter_id("ingest", 0, 1, 2),
        ids.dead_letter_id("ingest", 0, 1, 3),
        ids.forwarded_letter_id("ingest", "0:1"),
        ids.next_dead_letter_id(cause, b"a"),
        ids.next_dead_letter_id(cause, b"b"),
        ids.next_dead_letter_id(cause, None),
    }
    assert len(derived) == 14
