"""What `nightdesk why` writes about a story beside its events and cases."""

import pytest

from nightdesk.commands.why_text import render
from nightdesk.sinks.story import Story


@pytest.mark.parametrize(
    ("others", "lines"),
    [([], ["t-1"]), (["t-2", "t-\x1b3"], ["t-1", "", "also found under: t-2, t-\\x1b3"])],
)
def test_other_subjects_of_an_id_are_named_if_there_are_any(others: list[str], lines: list[str]) -> None:
    story = Story(asked="e-1", subject="t-1", events=[], cases=[], other_subjects=others)
    assert list(render(story)) == lines
