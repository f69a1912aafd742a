"""Replaying and discarding letters. Called by `nightdesk dlq`.

In this order: the record goes back to its topic, then the audit and the letter's end are written. Whoever dies in
between leaves the letter open, and replaying it again does no harm, because every stage takes what it knows only once;
the other way round, a letter might be marked as replayed that never was.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Literal

from nightdesk.dead_letters.reading import Letter, Original, read_originals
from nightdesk.saying import Outgoing, Speaker
from nightdesk.settings import KafkaSettings
from schemas.codec import Codec, Undecodable
from schemas.dead_letters import END_HEADER, ended, replay_headers
from schemas.records import DeadLetterEnd, Record
from schemas.topics import AUDIT, BY_NAME

# So many letters are under way at once: what a death of the command may leave replayed and still open.
LETTERS_AT_ONCE = 200

Verdict = Literal["replayed", "discarded"]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to become of letters, and who says so."""

    verdict: Verdict
    reason: str
    time: datetime

    def end(self, letter: Letter) -> DeadLetterEnd:
        return DeadLetterEnd(
            dead_letter_id=letter.about.dead_letter_id,
            verdict=self.verdict,
            person=getpass.getuser(),
            reason=self.reason,
            time=self.time,
        )


def end_letters(kafka: KafkaSettings, codec: Codec, letters: Iterable[Letter], order: Order) -> int:
    """Carry the order out; gives how many letters ended. Raises `Failure` when the broker does not take it all."""
    speaker, done = Speaker(kafka), 0
    originals = read_originals(kafka, letters)
    while batch := list(islice(originals, LETTERS_AT_ONCE)):
        ending = _Ending(kafka.topic_prefix, codec, order)
        speaker.deliver(record for letter, original in batch for record in ending.first(letter, original))
        speaker.deliver(record for letter, original in batch for record in ending.then(letter, original))
        done += len(batch)
    return done


def decoded(letter: Letter, original: Original, codec: Codec) -> Record | None:
    """The record, if this version can read it."""
    try:
        return codec.decode(BY_NAME[letter.about.topic].record, original.value)
    except Undecodable:
        return None


@dataclass(frozen=True, slots=True)
class _Ending:
    """The records that end one letter."""

    topic_prefix: str
    codec: Codec
    order: Order

    def first(self, letter: Letter, original: Original) -> list[Outgoing]:
        """What makes it true. To the partition where it was: there its subject's state is, whoever produced it."""
        about = letter.about
        topic = self.topic_prefix + about.topic
        if self.order.verdict == "replayed":
            headers = replay_headers(about, original.headers)
            return [Outgoing(topic, original.key, original.value, headers, about.partition)]
        if about.parks:
            return [Outgoing(topic, original.key, None, self._end_header(letter), about.partition)]
        return []

    def then(self, letter: Letter, original: Original) -> list[Outgoing]:
        """What remembers it."""
        about, (topic, partition, _) = letter.about, letter.place
        record = decoded(letter, original, self.codec)
        line = ended(about, record, self.order.end(letter))
        return [
            Outgoing(self.topic_prefix + AUDIT.name, line.subject, self.codec.encode(line)),
            Outgoing(topic, original.key, None, self._end_header(letter), partition),
        ]

    def _end_header(self, letter: Letter) -> tuple[tuple[str, bytes], ...]:
        return ((END_HEADER, self.codec.encode(self.order.end(letter))),)
