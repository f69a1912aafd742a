"""What a person can do with dead letters: list them, show one, replay or discard selected ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.settings import Endpoints
from nightdesk.operations.dead_letters.choosing import Choice, choose
from nightdesk.operations.dead_letters.contents import Contents, Finder
from nightdesk.operations.dead_letters.ending import Ended, LetterOrder, decoded, end_letters
from nightdesk.operations.dead_letters.reading import Found, Letter, State, read_contents, read_letters
from nightdesk.operations.progress import Advance, Begin
from nightdesk.schemas.dead_letters import Original
from nightdesk.schemas.records import AuditRecord, DeadLetter, DeadLetterEnd, Record

CHANGED = "other letters match than in the dry run"
GONE = "the record was too large for its dead letter, and its topic does not hold it any more"
REMEDY_IF_GONE = "Set NIGHTDESK_WORKER__OVERSIZED_DIR to the folder that keeps such records, or discard the letter"


def _unseen(_what: str, _total: int) -> Advance:
    return _unseen_advance


def _unseen_advance(_done: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class How:
    """How an order is carried out. `everything`: an empty filter means all letters. `expected` is the digest of the
    letters of a dry run: if other letters match by now, nothing is done. `begin` reports the progress.
    """

    everything: bool = False
    dry_run: bool = False
    expected: str = ""
    begin: Begin = _unseen


def digest_of(letters: Iterable[Letter]) -> str:
    """A digest of the letters, which is equal for two selections of the same letters."""
    return sha256("\n".join(sorted(letter.about.dead_letter_id for letter in letters)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """The dead letters of an installation. `oversized_dir` has the complete records that were too large for their
    letters.
    """

    endpoints: Endpoints
    oversized_dir: Path | None = None

    def select(self, choice: Choice, state: State | Literal["all"]) -> Found:
        """The selected letters, the oldest first, and the number of records on their topics that are not ours.

        Raises `Failure`.
        """
        with registered_codec(self.endpoints, DeadLetter, DeadLetterEnd) as codec:
            found = read_letters(self.endpoints.kafka, codec, choice.topic)
        return Found(tuple(choose(found.letters, choice, state)), found.strangers)

    def open_up(self, letter_id: str) -> Iterator[OpenedLetter]:
        """The one letter whose id begins like this. Raises `Failure`."""
        with registered_codec(self.endpoints, DeadLetter, DeadLetterEnd) as codec:
            found = choose(read_letters(self.endpoints.kafka, codec).letters, Choice(ids=(letter_id,)), "all")
            for letter, contents in read_contents(self._finder(), found):
                yield OpenedLetter(letter, contents, decoded(letter, contents, codec))

    def end(
        self,
        choice: Choice,
        state: State | Literal["all"],
        order: LetterOrder,
        how: How = How(),
    ) -> EndedLetters:
        """Replay or discard the selected letters. An empty choice needs `everything`. What a filter selects is in the
        audit with the filter's name, or with its text if nobody gave it one.

        Raises `Failure`, also if no letter is selected, or if other letters match than in the dry run. The result names
        letters that could not be replayed.
        """
        if choice.is_everything and not how.everything:
            raise Failure("no letters are selected", "Give ids, a filter, or --all", FailureKind.INVALID)
        with registered_codec(self.endpoints, DeadLetter, DeadLetterEnd, AuditRecord) as codec:
            letters = choose(read_letters(self.endpoints.kafka, codec, choice.topic).letters, choice, state)
            if not letters:
                remedy = "See `nightdesk dlq list --state all`; `replay --again` includes resolved letters"
                raise Failure("no open dead letter matches", remedy, FailureKind.NOT_FOUND)
            if how.expected and digest_of(letters) != how.expected:
                raise Failure(CHANGED, f"{len(letters)} match now: look at them again", FailureKind.INVALID)
            if how.dry_run:
                return EndedLetters(tuple(letters), Ended(len(letters), ()))
            named = replace(order, filter_name="" if choice.ids else order.filter_name or choice.text or "all")
            ended = end_letters(self._finder(), codec, letters, named, how.begin(order.verdict, len(letters)))
        return EndedLetters(tuple(letter for letter in letters if letter not in ended.gone), ended)

    def _finder(self) -> Finder:
        return Finder(self.endpoints.kafka, self.oversized_dir)


@dataclass(frozen=True, slots=True)
class OpenedLetter:
    """A letter with its record; `record` is None if this version cannot decode it."""

    letter: Letter
    contents: Contents
    record: Record | None

    def whole(self) -> Original:
        """The one record that the letter represents, unchanged. Raises `Failure`."""
        if len(self.contents.whole) > 1:
            raise Failure(
                f"the letter represents {self.letter.about.records} records", "Replay it, or read them at their place"
            )
        if not self.contents.whole:
            raise Failure(GONE, REMEDY_IF_GONE, FailureKind.NOT_FOUND)
        return self.contents.whole[0]


@dataclass(frozen=True, slots=True)
class EndedLetters:
    """The letters that were resolved, or would be in a dry run."""

    letters: tuple[Letter, ...]
    ended: Ended

    @property
    def digest(self) -> str:
        """The digest of the selected letters."""
        return digest_of(self.letters)

    def check_none_gone(self) -> None:
        """Raises `Failure` if the record of a letter does not exist any more."""
        if self.ended.gone:
            names = ", ".join(letter.about.dead_letter_id for letter in self.ended.gone)
            raise Failure(f"not replayed: {names}: {GONE}", REMEDY_IF_GONE, FailureKind.NOT_FOUND)
