"""The stages by name, and what each needs of Kafka. A stage is added here, by hand, and nowhere else.

Asked by `nightdesk worker`, `topics apply`, `status` and the chart's tests. The names of tables are part of the names
of changelog topics: renaming one loses its state.
"""

from dataclasses import dataclass

from schemas.topics import ACT, APPROVALS, BUDGET, DECIDE, INGEST, LATER, PERMITS, PERMITTED, Topic
from streams.runtime.naming import group_id


@dataclass(frozen=True, slots=True)
class StageSpec:
    """What a stage reads and remembers."""

    name: str
    topics: tuple[Topic, ...]
    tables: tuple[str, ...]


STAGES: tuple[StageSpec, ...] = (
    StageSpec("ingest", (INGEST,), ("seen", "subject_rates")),
    StageSpec("budget", (BUDGET, PERMITS), ("ledger", "permits")),
    StageSpec("decide", (DECIDE,), ("replies", "circuits")),
    StageSpec("act", (ACT, APPROVALS, PERMITTED), ("progress", "approvals", "circuits")),
    StageSpec("later", (LATER,), ("timers",)),
)
BY_NAME: dict[str, StageSpec] = {stage.name: stage for stage in STAGES}


def changelog_topics(topic_prefix: str) -> tuple[str, ...]:
    """Every stage's changelog topics, as Faust names them."""
    return tuple(
        f"{group_id(topic_prefix, stage.name)}-{table}-changelog" for stage in STAGES for table in stage.tables
    )
