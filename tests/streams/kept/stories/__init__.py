"""For each table what a worker left in it, and what a worker of today has to make of that. Listed by hand here.

A story begins on a bench whose tables are kept, and goes on on another that finds them. What goes on may rely on
nothing that was computed when it began: another version computed it.
"""

from tests.streams.kept.stories import act, anomalies, answers, budget, decide, ingest, later, permits
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
)
