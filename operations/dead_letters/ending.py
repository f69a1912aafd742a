"""Replaying and discarding dead letters.

The order matters: first the record is sent to its topic, then the audit record and the resolution are written. A
command that dies in between leaves the letter open, and replaying it again does no harm, because every stage
deduplicates. The opposite order could mark a letter as replayed whose record was never sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Literal

from nightdesk.messaging.blocking_producer import BlockingProducer
from nightdesk.messaging.producer import Message
from nightdesk.operations.dead_letters.contents import Contents, Finder
from nightdesk.operations.dead_letters.reading import Letter, read_contents
from nightdesk.operations.persons import claimed_name, of_a_person
from nightdesk.operations.progress import Advance
from nightdesk.schemas import audit_records
from nightdesk.schemas.codec import Codec, Undecodable
from nightdesk.schemas.dead_letters import end_headers, replay_headers
from nightdesk.schemas.records import DeadLetterEnd, Record
from nightdesk.schemas.topics import AUDIT, BY_NAME

# This many letters are resolved at once. A command that dies may leave that many replayed and still open.
LETTERS_AT_ONCE = 200

Verdict = Literal["replayed", "discarded"]


@dataclass(frozen=True, slots=True)
class LetterOrder:
    """What to do with letters, and the person who ordered it. Without a `person` it is the user who is logged in.
    `filter_name` is the name of the filter that selects them, if one does, and `login` the person's in the console.
    """

    verdict: Verdict
    reason: str
    time: datetime
    person: str = ""
    filter_name: str = ""
    login: str = ""

    def end(self, letter: Letter) -> DeadLetterEnd:
        return DeadLetterEnd(
            dead_letter_id=letter.about.dead_letter_id,
            verdict=self.verdict,
            person=of_a_person(self.person) if self.person else claimed_name(),
            reason=self.reason,
            time=self.time,
            filter_name=self.filter_name,
            login=self.login,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """The result: how many letters were resolved, and those whose record is gone."""

    done: int
    gone: tuple[Letter, ...]


def end_letters(finder: Finder, codec: Codec, letters: Iterable[Letter], order: LetterOrder, advance: Advance) -> Ended:
    """Carry out the order. Raises `Failure` if the broker does not accept everything."""
    producer, done, gone = BlockingProducer.of(finder.kafka), 0, list[Letter]()
    found = read_contents(finder, letters)
    while batch := list(islice(found, LETTERS_AT_ONCE)):
        read = len(batch)
        if order.verdict == "replayed":
            gone += [letter for letter, contents in batch if not contents.whole]
            batch = [(letter, contents) for letter, contents in batch if contents.whole]
        ending = _Ending(finder.kafka.topic_prefix, codec, order)
        producer.deliver(record for letter, contents in batch for record in ending.first(letter, contents))
        producer.deliver(record for letter, contents in batch for record in ending.then(letter, contents))
        done += len(batch)
        advance(read)
    return Ended(done, tuple(gone))


def decoded(letter: Letter, contents: Contents, codec: Codec) -> Record | None:
    """The record, if it exists and this version can decode it."""
    try:
        return codec.decode(BY_NAME[letter.about.topic].record, contents.shown.value)
    except Undecodable:
        return None


@dataclass(frozen=True, slots=True)
class _Ending:
    """The records that resolve one letter."""

    topic_prefix: str
    codec: Codec
    order: LetterOrder

    def first(self, letter: Letter, contents: Contents) -> list[Message]:
        """The replay itself, to the original partition: the state of its subject is there, whoever produced it."""
        about = letter.about
        topic = self.topic_prefix + about.topic
        if self.order.verdict == "replayed":
            replayed = partial(replay_headers, about, token=letter.release_token)
            return [
                Message(topic, one.key, one.value, replayed(one.headers), about.partition) for one in contents.whole
            ]
        if about.parks:
            released = end_headers(self.order.end(letter), self.codec, letter.release_token)
            return [Message(topic, contents.carried.key, None, released, about.partition)]
        return []

    def then(self, letter: Letter, contents: Contents) -> list[Message]:
        """The records that document it."""
        about, (topic, partition, _) = letter.about, letter.place
        record = decoded(letter, contents, self.codec)
        line = audit_records.ended(about, record, self.order.end(letter))
        return [
            Message(self.topic_prefix + AUDIT.name, line.subject.encode(), self.codec.encode(line)),
            Message(topic, contents.carried.key, None, end_headers(self.order.end(letter), self.codec), partition),
        ]
