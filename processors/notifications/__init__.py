"""Decides which route is told of which events, and when: classes, routes, quiet hours and messages. Pure.

The notify stage reads the audit with `classify`, collects notices in a `Batch` for each route and class, and sends the
`Message` of a batch when its time has come.
"""

from nightdesk.processors.notifications.batches import Batch
from nightdesk.processors.notifications.classes import (
    ANSWERED,
    FINDERS,
    OF_A_CASE,
    TOLD_ONCE,
    CaseClosing,
    Closing,
    Notice,
    about_case,
    classify,
)
from nightdesk.processors.notifications.messages import Message, message_of
from nightdesk.processors.notifications.route_states import RouteState, route_states
from nightdesk.processors.notifications.routes import RoutePolicy, routes_of

__all__ = [
    "ANSWERED",
    "FINDERS",
    "OF_A_CASE",
    "TOLD_ONCE",
    "Batch",
    "CaseClosing",
    "Closing",
    "Message",
    "Notice",
    "RoutePolicy",
    "RouteState",
    "about_case",
    "classify",
    "message_of",
    "route_states",
    "routes_of",
]
