"""Errors of the broker that pass by themselves: the one loop that asks again until it answers.

A broker that has just started, and a topic that was just created, have no leader or coordinator for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

Answer = TypeVar("Answer")

ASK_AGAIN_AFTER_S = 0.1
TRANSIENT_ERRORS = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
)


def ask_until_answered(ask: Callable[[], Answer], within_s: float) -> Answer:
    """What `ask` returns. Raises its `KafkaException` if that does not pass, or has not passed after `within_s`."""
    until = time.monotonic() + within_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in TRANSIENT_ERRORS or time.monotonic() > until:
                raise
        time.sleep(ASK_AGAIN_AFTER_S)
