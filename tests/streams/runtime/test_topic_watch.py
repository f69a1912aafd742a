"""What makes a topic a different one, and what does not."""

import pytest

from nightdesk.streams.runtime.membership.topic_watch import LOOKS_UNTIL_GONE, TopicChanges, TopicIdentity

FIRST = TopicIdentity("a", 4)


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (FIRST, None),
        (TopicIdentity("b", 4), "recreated"),
        (TopicIdentity("a", 5), "5 partitions instead of 4"),
        (None, None),
    ],
)
def test_one_look(now: TopicIdentity | None, word: str | None) -> None:
    writes = TopicChanges()
    assert writes.see("t", FIRST) is None
    said = writes.see("t", now)
    assert (said is None) == (word is None)
    assert word is None or word in str(said)
    assert writes.identities == {"t": FIRST}


def test_a_topic_that_a_broker_does_not_know_for_a_moment_is_not_gone() -> None:
    writes = TopicChanges()
    writes.see("t", FIRST)
    for _ in range(2):
        assert [writes.see("t", None) for _ in range(LOOKS_UNTIL_GONE - 1)] == [None] * (LOOKS_UNTIL_GONE - 1)
        assert writes.see("t", FIRST) is None
    assert [writes.see("t", None) for _ in range(LOOKS_UNTIL_GONE)][-1] is not None


def test_a_topic_that_never_was_is_not_gone() -> None:
    """Whether it exists at the start is checked elsewhere, with a better error."""
    writes = TopicChanges()
    assert [writes.see("t", None) for _ in range(LOOKS_UNTIL_GONE + 1)] == [None] * (LOOKS_UNTIL_GONE + 1)
    assert writes.see("t", FIRST) is None
