"""Counts the records that wait behind each dead letter, from the stages' own tables."""

from __future__ import annotations

import json
from collections import Counter

from nightdesk.messaging.naming import PARKED
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.topic_reader import read_table
from nightdesk.streams.catalog import STAGES

# The format of `streams/runtime/handling/queues.py`: for each entry of a queue, an offset and a letter (none: a
# record).
QUEUE_KEY = b"queue\x00"


def waiting_behind(kafka: KafkaSettings) -> Counter[str]:
    """Letter id -> number of records between it and the next letter of its queue."""
    waiting: Counter[str] = Counter()
    for stage in STAGES:
        for key, value in read_table(kafka, stage.name, PARKED).items() if stage.parks else ():
            if key.startswith(QUEUE_KEY):
                first = ""
                for _place, letter_id in json.loads(value):
                    first = letter_id or first
                    waiting[first] += letter_id is None
    return waiting
