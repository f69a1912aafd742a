"""Today's worker reads the tables of every older version, and no table changes unnoticed."""

import pytest

from nightdesk.streams.catalog import STAGES
from tests.streams.kept.stories import STORIES
from tests.streams.kept.stories.story import Story
from tests.streams.kept.tables import is_kept, kept, left_by, versions

CASES = [
    pytest.param(story, version, id=f"v{version}: {story.name}")
    for version in versions()
    for story in STORIES
    if story.name in kept(version)
]


@pytest.mark.parametrize(("story", "version"), CASES)
async def test_a_worker_of_today_goes_on(story: Story, version: int) -> None:
    await story.goes_on(kept(version)[story.name])


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_every_version_is_kept(story: Story) -> None:
    today = left_by(await story.begins())
    assert is_kept(story.name, today), "a table's values changed: run `python -m tests.streams.kept` and commit"


def test_every_table_has_a_story() -> None:
    told = {table for version in versions() for tables in kept(version).values() for table in tables}
    tables = {table for stage in STAGES for table in stage.tables}
    assert tables - told == set(), (
        "add a story to tests/streams/kept/stories/ that leaves an entry in each table, run `python -m"
        " tests.streams.kept` and commit what it writes"
    )
    assert told - tables == set(), "no stage has these tables any more: delete what is kept of them"


def test_every_kept_story_is_still_told() -> None:
    assert {name for version in versions() for name in kept(version)} == {story.name for story in STORIES}
