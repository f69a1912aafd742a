"""The records of notifications to people."""

from datetime import datetime
from typing import Literal

from nightdesk.schemas.bounds import Name, Text
from nightdesk.schemas.records.base import Record

# The classes of events that people can be notified of.
EventClass = Literal["stop", "failure", "unknown", "approval", "budget", "dead_letter", "anomaly", "fault", "outage"]


class Notification(Record):
    """A notice for a route (`tell`), or a command about one of its batches (`batch`).

    `send` sends the batch, and `unanswered` checks whether somebody has reacted to it. `pass_on` brings the batch of
    another route, as JSON, because that route failed or nobody reacted. `closed` says that somebody took care of what
    `about` names. `card` is that of a decision that waits, as JSON.
    """

    notification_id: Name
    route: Name
    kind: Literal["tell", "send", "pass_on", "unanswered", "closed"]
    event_class: Name = ""
    text: Text = ""
    about: Name = ""
    batch: Text = ""
    time: datetime
    card: Text = ""
