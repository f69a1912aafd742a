"""Stores the cases that people were told of, so that the end of a case closes only messages that were sent about it.

Nobody is ever told of most cases. Without this table, the end of each of them would cause a record for every route.
"""

from pydantic import BaseModel

from nightdesk.processors.notifications import CaseClosing, Closing, about_case
from nightdesk.streams.api import Clock, StagedWrites, Table
from nightdesk.streams.stages.batches import OPEN_FOR_S


class ToldCase(BaseModel):
    """The classes of events in which people were told of the case. A class that is over stays, so that a redelivered
    record has the same result.
    """

    event_classes: tuple[str, ...] = ()


class ToldCases:
    """By case, in the partition of its subject on the audit."""

    table_name = "told_cases"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.table = Table(self.table_name, ToldCase)

    def told(self, case_id: str, event_class: str, writes: StagedWrites) -> None:
        """Note that somebody is told of the case."""
        known = self.table.get(writes.partition, case_id) or ToldCase()
        classes = tuple(dict.fromkeys((*known.event_classes, event_class)))
        self.table.put(writes, case_id, ToldCase(event_classes=classes), self._clock().timestamp() + OPEN_FOR_S)

    def closings(self, closing: CaseClosing, writes: StagedWrites) -> list[Closing]:
        """What people were told of the case in these classes, to be closed."""
        known = self.table.get(writes.partition, closing.case_id) or ToldCase()
        return [
            Closing(about_case(name, closing.case_id)) for name in closing.event_classes if name in known.event_classes
        ]
