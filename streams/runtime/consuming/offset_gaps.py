"""Asks the log for its next readable record and its beginning.

After a rebalance Faust can skip records that exist (then the process must stop). But transactional producers and
compaction leave real offset gaps (then we continue), and retention deletes unread records (then they are lost). So a
separate consumer reads the same offset. Like the stage it reads committed records only, so an aborted transaction is a
gap.
"""

import logging
import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from nightdesk.messaging.clients import ClientConfig, new_admin, new_reader
from nightdesk.messaging.log_offsets import Place, ask_bounds
from nightdesk.messaging.transactions import open_transaction

log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 10.0
READER = "nightdesk-offset-gaps"
# How often it is asked whether a transaction is still open, and after how many questions that is said: between the two
# requests of one question a record may have been written.
LOOK_S = 0.5
LOOKS_UNTIL_TOLD = 2
# The search for a changelog's last record starts this far before its end, and goes back by this factor.
FIRST_LOOK_BACK = 1
LOOK_BACK_FACTOR = 64


class Found(NamedTuple):
    """`next_offset`: the offset of the first readable record at or after an offset, or where the next one will be.
    `log_start`: the first offset that the log still has.
    """

    next_offset: int
    log_start: int


def look_from(client_config: ClientConfig, place: Place, offset: int) -> Found | None:
    """What the log has from `offset` on; None if the broker does not answer in time."""
    consumer = new_reader(client_config, READER)
    try:
        consumer.assign([TopicPartition(*place, offset)])
        message = consumer.poll(ANSWER_TIMEOUT_S)
        if message is None or not (message.error() is None or _is_end(message)):
            return None
        # In this order, so that records that are deleted between the two requests count as lost, and not as a harmless
        # gap.
        log_start, _ = consumer.get_watermark_offsets(TopicPartition(*place), timeout=ANSWER_TIMEOUT_S)
        next_offset = message.offset()
        return None if next_offset is None else Found(next_offset, log_start)
    except KafkaException:
        return None
    finally:
        consumer.close()


def wait_until_readable(client_config: ClientConfig, places: Collection[Place]) -> None:
    """Return when no transaction of another producer hides records of these changelogs. A table that was recovered
    without them would have forgotten what was done. Kafka ends a transaction by itself; until then the watchdog may end
    this process, and the next one waits again.
    """
    admin, looks = new_admin(client_config), 0
    while True:
        try:
            bounds = ask_bounds(admin, places)
        except KafkaException as error:
            log.warning("the ends of the changelogs are not known: %s", error)
            # A client can continue with the leader epoch from before the broker's restart, and is refused forever.
            admin, bounds = new_admin(client_config), None
        hidden = {place: of_place for place, of_place in (bounds or {}).items() if of_place.stable < of_place.end}
        if bounds is not None and not hidden:
            return
        looks += 1
        if looks == LOOKS_UNTIL_TOLD:
            found = (open_transaction(client_config, place, of_place) for place, of_place in hidden.items())
            for transaction in filter(None, found):
                log.error("the tables wait: %s (kafka-transactions.sh abort)", transaction)
        time.sleep(LOOK_S)


def readable_ends(client_config: ClientConfig, ends: Mapping[Place, int]) -> dict[Place, int]:
    """The offset after the last readable record of each partition, given where each log ends.

    Behind that record are only transaction markers and aborted records. Faust's recovery waits until it has read the
    record before the end, which would never come. If the broker does not answer, a partition's end stays as given.
    """
    found = dict(ends)
    unknown = {place: end for place, end in ends.items() if end > 0}
    back = FIRST_LOOK_BACK
    consumer = new_reader(client_config, READER)
    try:
        while unknown:
            starts = {place: max(0, end - back) for place, end in unknown.items()}
            last = _last_records(consumer, starts, unknown)
            if last is None:
                break
            found |= {
                place: 0 if at is None else at + 1 for place, at in last.items() if at is not None or not starts[place]
            }
            unknown = {place: end for place, end in unknown.items() if last[place] is None and starts[place]}
            back *= LOOK_BACK_FACTOR
    finally:
        consumer.close()
    return found


def _last_records(
    consumer: Consumer, starts: Mapping[Place, int], ends: Mapping[Place, int]
) -> dict[Place, int | None] | None:
    """The last readable offset between each start and end; None if the broker does not answer in time."""
    consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
    last: dict[Place, int | None] = dict.fromkeys(starts)
    unread = set(starts)
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while unread:
        message = consumer.poll(max(0.0, deadline - time.monotonic()))
        if message is None:
            return None
        place = (str(message.topic()), message.partition() or 0)
        error, offset = message.error(), message.offset()
        if error is not None and not _is_end(message):
            return None
        if error is None and offset is not None:
            last[place] = offset
        if error is not None or (offset is not None and offset >= ends[place] - 1):
            unread.discard(place)
    return last


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF
