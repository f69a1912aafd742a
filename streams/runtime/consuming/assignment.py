"""Asks the group for a new assignment if it assigned only a part of what belongs together.

The stage's topics and its changelogs share their partitions: all partitions with one number go to one worker. While a
topic is being recreated, the group may agree on an assignment without it, and a restarting static member gets the
agreed assignment forever: it would idle, without an offset that shows any lag.
"""

import asyncio
import logging
from collections.abc import Iterable

import faust
from faust.types import TP

from nightdesk.streams.runtime.consuming.batches import BatchConsumer

log = logging.getLogger(__name__)

LOOK_S = 2.0
# A running rebalance ends by itself, and so does one that we requested.
LOOKS_UNTIL_ASKED = 3


def missing(assigned: Iterable[TP], topics: Iterable[str]) -> set[TP]:
    """Partitions that belong to the assigned ones and are not assigned."""
    held = set(assigned)
    return {TP(topic, number) for topic in topics for number in {tp.partition for tp in held}} - held


async def watch_assignment(app: faust.App, topics: frozenset[str]) -> None:
    """Check repeatedly; never returns. `topics` are those that share their partitions."""
    looks = 0
    while True:
        await asyncio.sleep(LOOK_S)
        without = set() if app.rebalancing else missing(app.consumer.assignment(), topics)
        looks = looks + 1 if without else 0
        if looks >= LOOKS_UNTIL_ASKED:
            looks = 0
            names = ", ".join(sorted(f"{tp.topic}/{tp.partition}" for tp in without))
            log.warning("the group did not assign %s, which belongs to the assigned partitions: asking again", names)
            assert isinstance(app.consumer, BatchConsumer), "the app consumes in batches"
            await app.consumer.rejoin()
