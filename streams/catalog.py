"""The stages, in the order in which an event meets them. A stage is added by its line in `STAGES`."""

from nightdesk.streams.stage_spec import StageSpec
from nightdesk.streams.stages import act, budget, decide, ingest, notify, timers

STAGES: tuple[StageSpec, ...] = (
    ingest.SPEC,
    budget.SPEC,
    decide.SPEC,
    act.SPEC,
    timers.SPEC,
    notify.SPEC,
)
BY_NAME: dict[str, StageSpec] = {stage.name: stage for stage in STAGES}


def changelog_topics(topic_prefix: str) -> tuple[str, ...]:
    """Every stage's changelog topics."""
    return tuple(name for stage in STAGES for name in stage.changelogs(topic_prefix))
