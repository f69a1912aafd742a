"""For each table: what an older worker left in it, and what a worker of today has to do with it. Listed by hand here.

A story begins with a stage whose tables are stored and continues with another stage that finds them. The second part
may not use anything that was computed in the first, because another version computed it.
"""

from tests.streams.kept.stories import act, anomalies, answers, budget, decide, ingest, later, notify, permits
from tests.streams.kept.stories.story import Story

STORIES: tuple[Story, ...] = (
    *ingest.STORIES,
    *budget.STORIES,
    *anomalies.STORIES,
    *permits.STORIES,
    *decide.STORIES,
    *act.STORIES,
    *answers.STORIES,
    *later.STORIES,
    *notify.STORIES,
)
