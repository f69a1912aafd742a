"""What a storm of kills may bring into quarantine, and the person who sends it again.

A kill from outside cannot be told from one that a record caused, so a record that was in hand at three kills in a row
becomes a dead letter that names its case. A person finds no cause and replays it, and then everything has to hold of
it that holds of every other event.
"""

from collections import Counter
from collections.abc import Iterator

from nightdesk.operations.dead_letters.reading import open_letters
from nightdesk.streams.runtime.consuming.quarantine import QUARANTINE_AFTER
from tests.chaos.facts import DeadLettered, Facts
from tests.chaos.world import LOOK_S, World


def is_quarantined(dead_letter: DeadLettered) -> bool:
    """Whether the letter is of a record at which a stage ended repeatedly."""
    return dead_letter.letter.kind == "quarantined"


def replay(world: World, within_s: float) -> int:
    """Replay what is in quarantine; returns how much when no stage has lag."""
    found = [
        letter.about.dead_letter_id
        for letter in open_letters(world.settings.kafka, world.codec)
        if letter.about.kind == "quarantined"
    ]
    if found:
        world.nightdesk("dlq", "replay", *found, "--reason", "killed from outside")
        world.until(lambda: not world.behind(), within_s, LOOK_S)
    return len(found)


def quarantined_by_kills(facts: Facts) -> Iterator[str]:
    """What is in quarantine was in hand at three kills, and its letter names its case."""
    letters = {
        dead_letter.letter.dead_letter_id: dead_letter.letter
        for dead_letter in facts.dead_letters
        if is_quarantined(dead_letter)
    }
    for letter_id, letter in letters.items():
        if letter.case_id is None and letter.topic != "ingest":
            yield f"dead letter {letter_id} of {letter.stage} is in quarantine and names no case"
    for place, count in Counter((letter.topic, letter.partition) for letter in letters.values()).items():
        if count * QUARANTINE_AFTER > facts.kills:
            yield f"{count} records of {place} are in quarantine after {facts.kills} kills of all processes"
