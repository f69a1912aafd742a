"""The specification of each stage equals what the stage itself declares, because topics and changelogs are created from
it.
"""

import ast
from pathlib import Path

import pytest

from nightdesk.bootstrap import build_handlers
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.settings import Settings
from nightdesk.streams import stages
from nightdesk.streams.api import system_clock
from nightdesk.streams.catalog import STAGES, changelog_topics
from nightdesk.streams.control import Control
from nightdesk.streams.stage_spec import StageSpec


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_it_reads_and_remembers_what_the_catalogue_says(stage: StageSpec) -> None:
    handlers = build_handlers(
        stage.name, Settings(kafka=KafkaSettings(bootstrap_servers="nowhere:1")), Control(), system_clock
    )
    routes = handlers.routes()
    assert handlers.name == stage.name
    assert {route.topic for route in routes} == set(stage.topics), "topics of the SPEC"
    assert tuple(table.name for table in handlers.tables) == handlers.table_names == tuple(stage.tables), (
        "tables of the SPEC"
    )
    assert stage.parks == any(route.queue_of is not None for route in routes), "parks of the SPEC"


def test_the_table_of_a_stage_that_parks_has_a_changelog_too() -> None:
    parking = {f"t-{stage.name}-parked-changelog" for stage in STAGES if stage.parks}
    assert parking == {name for name in changelog_topics("t.") if "parked" in name} != set()


def test_every_specification_is_in_the_list() -> None:
    """A stage without its line would have no topics, no process and no place in `status`."""
    folder = Path(stages.__file__).parent
    listed = {f"{stage.build.__module__}.SPEC" for stage in STAGES}
    written = {
        f"{stages.__name__}.{path.stem}.SPEC"
        for path in folder.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SPEC"
    }
    assert written - listed == set(), "add them to STAGES in streams/catalog.py"


def test_a_name_that_is_no_stage_builds_none() -> None:
    with pytest.raises(KeyError, match="later"):
        build_handlers("later", Settings(kafka=KafkaSettings(bootstrap_servers="nowhere:1")), Control(), system_clock)
