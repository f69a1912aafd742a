"""Finds the complete record of a dead letter: in the letter or, if that was cut, in the folder for large records or in
the record's own topic.

A record that is found elsewhere must have the digest that the letter names, because a topic that was recreated has
other records at the same offsets.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException, Message, TopicPartition

from nightdesk.messaging.clients import QUIET, new_reader
from nightdesk.messaging.consumed import original_of
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.topic_reader import READER, read_range
from nightdesk.schemas import oversized
from nightdesk.schemas.dead_letters import Original
from nightdesk.schemas.records import DeadLetter
from nightdesk.schemas.truncation import digest

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 30.0
# None of our letters represents more records, but anyone with write access may produce one that claims to.
RECORDS_AT_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Contents:
    """`carried` is the record in the letter, `whole` the complete records to send again: none if they are gone."""

    carried: Original
    whole: tuple[Original, ...]

    @property
    def shown(self) -> Original:
        """The record to show: the complete one, if there is one."""
        return self.whole[0] if len(self.whole) == 1 else self.carried


@dataclass(frozen=True, slots=True)
class Finder:
    """The places to look in: the folder of `worker.oversized_dir`, if it is set, then the record's own topic."""

    kafka: KafkaSettings
    folder: Path | None

    def contents(self, about: DeadLetter, carried: Original) -> Contents:
        """Raises `KafkaException` if the broker does not answer."""
        if about.kind == "lost":
            return Contents(carried, ())
        if not about.truncated:
            return Contents(carried, (carried,))
        kept = self._kept(about)
        return Contents(carried, (kept,) if kept is not None else tuple(self._at_its_place(about)))

    def _kept(self, about: DeadLetter) -> Original | None:
        if self.folder is None:
            return None
        try:
            found = oversized.find(self.folder, about.dead_letter_id)
        except (OSError, ValueError, LookupError) as error:
            log.warning("the stored record of %s cannot be read: %s", about.dead_letter_id, error)
            return None
        return found if found is not None and _is_it(about, found) else None

    def _at_its_place(self, about: DeadLetter) -> list[Original]:
        records = min(about.records, RECORDS_AT_MOST)
        found = [original_of(message) for message in self._read(about, records)]
        is_whole = len(found) == records and all(_is_it(about, original) for original in found)
        return found if is_whole else []

    def _read(self, about: DeadLetter, records: int) -> Iterator[Message]:
        place = self.kafka.topic_prefix + about.topic, about.partition
        consumer = new_reader({**self.kafka.client_config(), **QUIET}, READER, {"auto.offset.reset": "error"})
        try:
            first, end = consumer.get_watermark_offsets(TopicPartition(*place), ANSWER_WITHIN_S)
            if first <= about.offset < end:
                ends = {place: min(end, about.offset + records)}
                yield from read_range(consumer, {place: about.offset}, ends, ANSWER_WITHIN_S)
        except KafkaException as error:
            log.warning("the record of %s cannot be read from its topic: %s", about.dead_letter_id, error)
        finally:
            consumer.close()


def _is_it(about: DeadLetter, original: Original) -> bool:
    return about.sha256 is None or digest(original) == about.sha256
