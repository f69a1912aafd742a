"""The times at which an event passes each topic, as the broker stamped its records: where a latency comes from.

The broker's clock and the clocks of the sender and the counting server are one here, because all run on this machine.
The broker stamps whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from statistics import median

from confluent_kafka import Message

from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topics
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import BudgetEntry
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE, INGEST
from nightdesk.settings import Settings

SENT, CALLED = "produced", "action"
# In the order in which an event passes them.
PLACES = (SENT, *(topic.name for topic in (INGEST, BUDGET, DECIDE, ACT)), CALLED)

# For each subject, the epoch seconds at which its event was at a place.
Times = Mapping[str, float]


def hand_overs_ms(settings: Settings, sent_at: Times, called_at: Times) -> dict[str, float]:
    """The median milliseconds from each place to the next, by `FROM to TO`. Each subject has one event."""
    at: dict[str, dict[str, float]] = {place: {} for place in PLACES} | {SENT: dict(sent_at), CALLED: dict(called_at)}
    for place, subject, stamped_at in _stamps(settings):
        at[place].setdefault(subject, stamped_at)
    whole = [subject for subject in sent_at if all(subject in times for times in at.values())]
    return {
        f"{before} to {after}": median((at[after][subject] - at[before][subject]) * 1000 for subject in whole)
        for before, after in pairwise(PLACES)
        if whole
    }


def _stamps(settings: Settings) -> Iterator[tuple[str, str, float]]:
    """The place, the subject and the time of each record on the topics that an event passes."""
    prefix = settings.kafka.topic_prefix
    with registered_codec(settings) as codec:
        for message in read_topics(settings.kafka, [prefix + place for place in PLACES[1:-1]]):
            place = str(message.topic()).removeprefix(prefix)
            yield place, _subject(place, message, codec), message.timestamp()[1] / 1000


def _subject(place: str, message: Message, codec: Codec) -> str:
    if place != BUDGET.name:
        return (message.key() or b"").decode()
    entry = codec.decode(BudgetEntry, message.value())
    return entry.case.event.subject if entry.case is not None else ""
