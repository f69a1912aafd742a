"""The stages by name, and what each needs of Kafka. A stage is added here, by hand, and nowhere else.

Asked by `nightdesk worker`, `topics apply`, `status` and the chart's tests. The names of tables are part of the names
of changelog topics: renaming one loses its state.
"""

from dataclasses import dataclass

from schemas.topics import ACT, APPROVALS, BUDGET, DECIDE, INGEST, LATER, PERMITS, PERMITTED, Topic
from streams.runtime.naming import PARKED, group_id


@dataclass(frozen=True, slots=True)
class StageSpec:
    """What a stage reads and remembers. `parks`: its records may have to wait behind a dead letter, in a table of the
    safety layer's.
    """

    name: str
    topics: tuple[Topic, ...]
    tables: tuple[str, ...]
    parks: bool = False

    def changelogs(self, topic_prefix: str) -> tuple[str, ...]:
        """The changelog topics, as Faust names them."""
        tables = (*self.tables, PARKED) if self.parks else self.tables
        return tuple(f"{group_id(topic_prefix, self.name)}-{table}-changelog" for table in tables)


STAGES: tuple[StageSpec, ...] = (
    StageSpec("ingest", (INGEST,), ("seen", "subject_rates"), parks=True),
    StageSpec("budget", (BUDGET, PERMITS), ("ledger", "permits", "pauses")),
    StageSpec("decide", (DECIDE,), ("replies", "circuits"), parks=True),
    StageSpec("act", (ACT, APPROVALS, PERMITTED), ("progress", "approvals", "circuits", "answers"), parks=True),
    StageSpec("later", (LATER,), ("timers",)),
)
BY_NAME: dict[str, StageSpec] = {stage.name: stage for stage in STAGES}


def changelog_topics(topic_prefix: str) -> tuple[str, ...]:
    """Every stage's changelog topics."""
    return tuple(name for stage in STAGES for name in stage.changelogs(topic_prefix))
