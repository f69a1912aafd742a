"""The catalogue says of each stage what the stage itself does: topics and changelogs are made and checked by it."""

import pytest

from nightdesk.bootstrap import build_handlers
from nightdesk.settings import Settings
from streams.catalog import STAGES, StageSpec, changelog_topics
from streams.charters import Control
from streams.runtime.policy import system_clock


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_it_reads_and_remembers_what_the_catalogue_says(stage: StageSpec) -> None:
    handlers = build_handlers(stage.name, Settings(), Control(), system_clock)
    routes = handlers.routes()
    assert handlers.name == stage.name
    assert {route.topic for route in routes} == set(stage.topics)
    assert handlers.table_names == stage.tables
    assert stage.parks == any(route.queue_of is not None for route in routes)


def test_the_table_of_a_stage_that_parks_has_a_changelog_too() -> None:
    parking = {f"t-{stage.name}-parked-changelog" for stage in STAGES if stage.parks}
    assert parking == {name for name in changelog_topics("t.") if "parked" in name} != set()
