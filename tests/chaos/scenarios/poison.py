"""One record in a hundred is poison: it becomes a dead letter, byte for byte, and delays nothing.

`nightdesk dlq` shows the letters and their bytes. A letter that is replayed without a repair comes back with one more
attempt. A letter that failed because its charter was missing is executed once the charter exists, and only once,
however often it is replayed.
"""

from base64 import b64decode
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson

from nightdesk.messaging.blocking_producer import BlockingProducer
from nightdesk.messaging.producer import Message
from nightdesk.operations.dead_letters.choosing import Choice
from nightdesk.operations.dead_letters.handling import DeadLetterQueue
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.processors import routing
from nightdesk.processors.charter import Charter
from nightdesk.processors.charter.compiled import compile_charter
from nightdesk.processors.charter.parsing import charter_from_json, charter_to_json
from nightdesk.processors.ledger import entries as lines
from nightdesk.schemas.topics import BUDGET
from nightdesk.streams.runtime.handling.delivery import trace_headers
from tests.chaos.events import ANSWER, NOTE, draw
from tests.chaos.poisons import POISONS, poison
from tests.chaos.scenario import Scenario
from tests.chaos.sender import Raw
from tests.chaos.world import World

NAME = "poison"
LATE = "poison-late"
RECORDS_A_KILL = 50
ONE_IN = 100
LATE_CASES = 5
LETTERS_WITHIN_S = 120.0
OF_INGEST = Choice(topic="ingest")


def play(world: World, size: int, chance: Random) -> None:
    """Send fifty times as many records as the kill storm has kills, shuffled; kill an ingest stage meanwhile."""
    count = size * RECORDS_A_KILL
    poisons = [poison(world, number, chance) for number in range(max(count // ONE_IN, len(POISONS)))]
    over_s = count / 200
    world.send(draw(NAME, count - len(poisons), chance, (NOTE,), subjects=200), over_s)
    world.send_poison(poisons, over_s)
    world.pause(over_s / 2)
    world.fleet.kill(chance.choice(("ingest-0", "ingest-1")))
    world.sender.finish()
    _look_into_the_letters(world, most=max(2, size // 10))
    _replay_what_was_repaired(world, chance)


def _look_into_the_letters(world: World, most: int) -> None:
    """Show and replay some letters, of each kind if there are enough; a discarded letter is not listed any more.
    Letters of other scenarios that sent poison are among them.
    """
    sent = Counter(world.poison)
    letters = _listed(world, sent.total(), OF_INGEST)
    by_sort = {(letter["error"], letter["message"][:20]): letter["dead_letter_id"] for letter in letters}
    every_id = dict.fromkeys([*by_sort.values(), *(letter["dead_letter_id"] for letter in letters)])
    chosen = list(every_id)[:most]
    for letter_id in chosen:
        shown = orjson.loads(world.nightdesk("dlq", "show", letter_id, "--output", "json"))
        record = Raw(b64decode(shown["key_base64"]).decode(), b64decode(shown["value_base64"]))
        if not sent[record]:
            world.observed.append(f"dlq show {letter_id}: a record that was not sent, of the key {record.key}")
        world.poison.append(record)
    world.nightdesk("dlq", "replay", *chosen, "--reason", "a test of replay")
    again = [letter for letter in _listed(world, sent.total(), OF_INGEST) if letter["attempts"] == 2]
    if sorted(letter["replay_of"] for letter in again) != sorted(chosen):
        world.observed.append(f"{len(chosen)} letters were replayed, and {len(again)} came back")
    world.nightdesk("dlq", "discard", "--topic", "ingest", "--reason", "a test of discard")
    if _letters(world, OF_INGEST):
        world.observed.append("dead letters are open after all were discarded")


def _replay_what_was_repaired(world: World, chance: Random) -> None:
    """Cases of a charter that was not applied are executed when it is applied, and not again when they are replayed
    again.
    """
    late = _another_version(next(charter for charter in world.charters if charter.agent == "answerer"))
    _begin_cases(world, late, chance)
    _listed(world, LATE_CASES, Choice(error="CharterMissing"))
    give_orders(world.settings, charter_orders([late]))
    world.nightdesk("dlq", "replay", "--error", "CharterMissing", "--reason", "applied")
    if not world.ended(LATE, LETTERS_WITHIN_S):
        world.observed.append(f"{LATE}: replayed when their charter was there, and not done")
    world.nightdesk("dlq", "replay", "--error", "CharterMissing", "--again", "--reason", "a test of doing it once")


def _another_version(charter: Charter) -> Charter:
    content = orjson.loads(charter_to_json(charter)) | {"description": "Applied late."}
    return charter_from_json(orjson.dumps(content).decode())


def _begin_cases(world: World, late: Charter, chance: Random) -> None:
    """Create the cases as ingest would if it knew the charter, each with its event's trace."""
    compiled, now = compile_charter(late), datetime.now(UTC)
    events = draw(LATE, LATE_CASES, chance, (replace(ANSWER, ordered=False),))
    reservation = [lines.reservation(routing.open_case(compiled, one.event(), now), now) for one in events]
    world.expect(events)
    records = [Raw(late.agent, world.codec.encode(entry)) for entry in reservation]
    world.poison += records
    kafka = world.settings.kafka
    BlockingProducer.of(kafka).deliver(
        Message(kafka.topic_prefix + BUDGET.name, late.agent.encode(), record.value, trace_headers((), LATE, 0, number))
        for number, record in enumerate(records)
    )


def _listed(world: World, count: int, choice: Choice) -> list[dict[str, Any]]:
    """The open letters that the command lists, once there are so many. A command takes seconds to start, so the waiting
    reads them without one.
    """
    queue = DeadLetterQueue(world.settings, world.settings.worker.oversized_dir)
    if not world.until(lambda: len(queue.select(choice, "open").letters) >= count, LETTERS_WITHIN_S, poll_s=1.0):
        world.observed.append(f"not {count} dead letters after {LETTERS_WITHIN_S:.0f} s: {choice.text}")
    return _letters(world, choice)


def _letters(world: World, choice: Choice) -> list[dict[str, Any]]:
    which = ("--topic", choice.topic) if choice.topic else ("--error", choice.error)
    found: list[dict[str, Any]] = orjson.loads(world.nightdesk("dlq", "list", *which, "--output", "json"))
    return found


SCENARIO = Scenario(NAME, play)
