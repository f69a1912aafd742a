"""One record in a hundred is poison: it ends as a dead letter, byte for byte, and holds up nobody.

`nightdesk dlq` shows the letters and their bytes. What it replays comes back where nothing was repaired, as one try
more; what failed because its charter was missing is done when that is there, and once, however often it is replayed.
"""

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson

from nightdesk.control import charter_orders, give_orders
from nightdesk.saying import Outgoing, Speaker
from processors import routing
from processors.charter import Charter
from processors.charter.compiled import compile_charter
from processors.charter.parsing import charter_from_json, charter_to_json
from processors.ledger import lines
from schemas.topics import BUDGET
from streams.runtime.delivery import trace_headers
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


def play(world: World, size: int, chance: Random) -> None:
    """Fifty times as many records as kills in a storm, shuffled; an ingest stage is killed in the midst of them."""
    count = size * RECORDS_A_KILL
    poisons = [poison(world, number, chance) for number in range(max(count // ONE_IN, len(POISONS)))]
    over_s = count / 200
    world.send(draw(NAME, count - len(poisons), chance, (NOTE,), subjects=200), over_s)
    world.send_poison(poisons, over_s)
    world.pause(over_s / 2)
    world.fleet.kill(chance.choice(("ingest-0", "ingest-1")))
    world.sender.finish()
    _look_into_the_letters(world, poisons, most=max(2, size // 10))
    _replay_what_was_repaired(world, chance)


def _look_into_the_letters(world: World, poisons: Sequence[Raw], most: int) -> None:
    """Some are shown, of each sort if so many may be, and replayed; what is discarded is listed no more."""
    letters = _listed(world, len(poisons), "--topic", "ingest")
    by_sort = {(letter["error"], letter["message"][:20]): letter["dead_letter_id"] for letter in letters}
    every_id = dict.fromkeys([*by_sort.values(), *(letter["dead_letter_id"] for letter in letters)])
    chosen = list(every_id)[:most]
    sent = {record.key: record.value for record in poisons}
    for letter_id in chosen:
        shown = orjson.loads(world.nightdesk("dlq", "show", letter_id, "--output", "json"))
        key, value = b64decode(shown["key_base64"]).decode(), b64decode(shown["value_base64"])
        if sent.get(key) != value:
            world.observed.append(f"dlq show {letter_id}: {len(value)} bytes that were not sent with the key {key}")
        world.poison.append(value)
    world.nightdesk("dlq", "replay", *chosen, "--reason", "a test of replay")
    again = [letter for letter in _listed(world, len(poisons), "--topic", "ingest") if letter["attempts"] == 2]
    if sorted(letter["replay_of"] for letter in again) != sorted(chosen):
        world.observed.append(f"{len(chosen)} letters were replayed, and {len(again)} came back")
    world.nightdesk("dlq", "discard", "--topic", "ingest", "--reason", "a test of discard")
    if _letters(world, "--topic", "ingest"):
        world.observed.append("dead letters are open after all were discarded")


def _replay_what_was_repaired(world: World, chance: Random) -> None:
    """Cases of a charter that nobody applied: they are done when it is, and not again when they are replayed again."""
    late = _another_version(next(charter for charter in world.charters if charter.agent == "answerer"))
    _begin_cases(world, late, chance)
    _listed(world, LATE_CASES, "--error", "CharterMissing")
    give_orders(world.settings, charter_orders([late]))
    world.nightdesk("dlq", "replay", "--error", "CharterMissing", "--reason", "applied")
    if not world.ended(LATE, LETTERS_WITHIN_S):
        world.observed.append(f"{LATE}: replayed when their charter was there, and not done")
    world.nightdesk("dlq", "replay", "--error", "CharterMissing", "--again", "--reason", "a test of doing it once")


def _another_version(charter: Charter) -> Charter:
    content = orjson.loads(charter_to_json(charter)) | {"description": "Applied late."}
    return charter_from_json(orjson.dumps(content).decode())


def _begin_cases(world: World, late: Charter, chance: Random) -> None:
    """As ingest does, had it known the charter, with the trace that belongs to the event."""
    compiled, now = compile_charter(late), datetime.now(UTC)
    events = draw(LATE, LATE_CASES, chance, (replace(ANSWER, ordered=False),))
    asking = [lines.asking(routing.open_case(compiled, one.event(), now), now) for one in events]
    world.expect(events)
    values = [world.codec.encode(entry) for entry in asking]
    world.poison += values
    kafka = world.settings.kafka
    Speaker(kafka).deliver(
        Outgoing(kafka.topic_prefix + BUDGET.name, late.agent, value, trace_headers((), LATE, 0, number))
        for number, value in enumerate(values)
    )


def _listed(world: World, count: int, *which: str) -> list[dict[str, Any]]:
    """The open letters, when there are so many."""
    if not world.until(lambda: len(_letters(world, *which)) >= count, LETTERS_WITHIN_S, poll_s=2.0):
        world.observed.append(f"{len(_letters(world, *which))} of {count} dead letters are listed")
    return _letters(world, *which)


def _letters(world: World, *which: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(world.nightdesk("dlq", "list", *which, "--output", "json"))
    return found


SCENARIO = Scenario(NAME, play)
