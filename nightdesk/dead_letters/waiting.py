"""How many records wait behind each dead letter, from the stages' own tables. Called by `reading`."""

from __future__ import annotations

import json
from collections import Counter

from nightdesk.reading import read_table
from nightdesk.settings import KafkaSettings
from streams.catalog import STAGES
from streams.runtime.naming import PARKED

# As `streams/runtime/queues.py` writes it: who stands in a queue, a place and a letter (none: a record) each.
QUEUE_KEY = b"queue\x00"


def waiting_behind(kafka: KafkaSettings) -> Counter[str]:
    """Letter id -> records between it and the next letter of its queue."""
    waiting: Counter[str] = Counter()
    for stage in STAGES:
        for key, value in read_table(kafka, stage.name, PARKED).items() if stage.parks else ():
            if key.startswith(QUEUE_KEY):
                first = ""
                for _place, letter_id in json.loads(value):
                    first = letter_id or first
                    waiting[first] += letter_id is None
    return waiting
