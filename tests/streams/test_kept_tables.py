"""What a worker of any older version left in its tables is read by today's, and no table changes unnoticed."""

import pytest

from streams.catalog import STAGES
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
    assert told == {table for stage in STAGES for table in stage.tables}


def test_every_kept_story_is_still_told() -> None:
    assert {name for version in versions() for name in kept(version)} == {story.name for story in STORIES}
