"""Asks the broker where each partition's log begins and ends."""

from collections.abc import Iterable
from concurrent.futures import TimeoutError as NoAnswer
from typing import NamedTuple

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # its types forget what it exports

ANSWER_TIMEOUT_S = 10.0

# Topic and partition.
Place = tuple[str, int]


class Bounds(NamedTuple):
    """Offsets of one log: its first, the last stable offset (up to which a reader of committed records can read), and
    the end.
    """

    start: int
    stable: int
    end: int


def ask_bounds(admin: AdminClient, places: Iterable[Place]) -> dict[Place, Bounds]:
    """The bounds of each log. Raises `KafkaException` if the broker does not answer for one of them."""
    asked = list(places)
    if not asked:
        return {}
    earliest, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
    start = ask_offsets(admin, asked, earliest, IsolationLevel.READ_UNCOMMITTED)
    stable = ask_offsets(admin, asked, latest, IsolationLevel.READ_COMMITTED)
    end = ask_offsets(admin, asked, latest, IsolationLevel.READ_UNCOMMITTED)
    return {place: Bounds(start[place], stable[place], end[place]) for place in start}


def ask_offsets(
    admin: AdminClient,
    places: Iterable[Place],
    spec: OffsetSpec,
    isolation: IsolationLevel,
    within_s: float = ANSWER_TIMEOUT_S,
) -> dict[Place, int]:
    """One offset of each log. Raises `KafkaException` if the broker does not answer for one of them in time."""
    wanted = {TopicPartition(*place): spec for place in places}
    asked = admin.list_offsets(wanted, isolation_level=isolation, request_timeout=within_s)
    try:
        # The client has its own timeout; the extra second is for a client that ignores it.
        known = {(place.topic, place.partition): future.result(within_s + 1).offset for place, future in asked.items()}
    except NoAnswer as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error
    if any(offset < 0 for offset in known.values()):
        # A response without an offset (-1001) comes as a success, for example while a partition has no leader.
        raise KafkaException(KafkaError(KafkaError._NO_OFFSET))
    return known
