"""Events, as producers send them and as one stage passes them to another."""

from datetime import datetime

from nightdesk.schemas.bounds import Name, Text
from nightdesk.schemas.records.base import Record


class Event(Record):
    """Something happened outside, with the attributes of CloudEvents. `data` is JSON text. It is the public API of the
    ingest topic.
    """

    id: Name
    source: Name
    type: Name
    subject: Name
    time: datetime
    datacontenttype: Name = "application/json"
    data: Text = "null"


class SubjectEvent(Record):
    """An event that came at `received_at` and may change what waits about its subject."""

    event: Event
    received_at: datetime

    @property
    def subject(self) -> str:
        return self.event.subject
