"""Records that an older worker parked behind a dead letter go on under today's, whole and in order.

`kept/parked.json` is the table as it lay on the changelog topic: keys as text, values in hexadecimal, in the order in
which they were written. It was kept once, as `_parked` wrote it.
"""

import json
from pathlib import Path

from faust.types import TP

from streams.runtime.changes import Changes
from streams.runtime.queues import Queues, Standing, Turn
from tests.streams.runtime.arrivals import arrival
from tests.streams.runtime.memory import table
from tests.streams.storm.conversation import local_codec

KEPT = Path(__file__).parent / "kept" / "parked.json"
PARTITION = 1
LETTER, FIRST, SECOND = (Turn(PARTITION, "desk\x00s", place) for place in (3, 5, 8))
RECORD = b"\x00\xff as it came\n"
EXPIRES_AT = 1_800_000_000.0


def _changes() -> Changes:
    return Changes(local_codec(), "t.", PARTITION)


def _parked() -> list[list[str]]:
    """A letter, and two records behind it: the last value of each key."""
    parked = table("parked")
    queues, written = Queues(parked), dict[str, str]()
    for turn in (LETTER, FIRST, SECOND):
        changes = _changes()
        if turn is LETTER:
            queues.block(changes, turn, "letter-1", EXPIRES_AT)
        else:
            queues.wait(changes, turn, arrival(TP("t.act", PARTITION), turn.place, b"s", RECORD, (("trace", b"1"),)))
        for put in changes.puts:
            message = parked.write(put)
            written[put.key.decode()] = (message.value or b"").hex()
    return [[key, value] for key, value in written.items() if value]


def test_they_go_on_whole_and_in_order() -> None:
    parked = table("parked")
    for key, value in json.loads(KEPT.read_text()):
        parked._recover(PARTITION, key.encode(), bytes.fromhex(value))
    queues = Queues(parked)
    assert queues.line(PARTITION, LETTER.queue) == [Standing(3, "letter-1"), Standing(5, None), Standing(8, None)]
    assert queues.turn_of(PARTITION, "letter-1") == LETTER
    assert queues.expired(PARTITION, EXPIRES_AT) == [LETTER]
    for leaves, comes in ((LETTER, FIRST), (FIRST, SECOND)):
        changes = _changes()
        queues.leave(changes, leaves)
        for put in changes.puts:
            parked.write(put)
        found = queues.next(PARTITION, LETTER.queue)
        assert found is not None
        turn, record = found
        assert (turn, record.value, record.key) == (comes, RECORD, b"s")
        assert (record.topic, record.headers) == ("t.act", (("trace", b"1"),))


def test_what_is_written_today_is_what_was_kept() -> None:
    """Otherwise keep this one, and beside it what is written now."""
    assert _parked() == json.loads(KEPT.read_text())
