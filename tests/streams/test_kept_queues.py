"""Records that an older worker parked behind a dead letter continue under today's worker, complete and in order.

`kept/parked-*.json` are tables as they were on the changelog topic: keys as text, values in hexadecimal, in the order
of their writes. Each was stored once, as `_parked` wrote it at that time.
"""

import json
from pathlib import Path

import pytest
from faust.types import TP

from nightdesk.streams.api import StagedWrites
from nightdesk.streams.runtime.handling.queues import BlockedKey, Queues, Waiter
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.runtime.arrivals import arrival
from tests.streams.runtime.memory import table

FOLDER = Path(__file__).parent / "kept"
KEPT = ("parked-1.json", "parked-2.json")
PARTITION = 1
LETTER, FIRST, SECOND = (BlockedKey(PARTITION, "desk\x00s", place) for place in (3, 5, 8))
RECORD = b"\x00\xff as it came\n"
EXPIRES_AT = 1_800_000_000.0
TOKEN = b"0123456789abcdef"


def _changes() -> StagedWrites:
    return StagedWrites(local_codec(), "t.", PARTITION)


def _parked() -> list[list[str]]:
    """A letter, and two records behind it: the last value of each key."""
    parked = table("parked")
    queues, written = Queues(parked), dict[str, str]()
    for turn in (LETTER, FIRST, SECOND):
        writes = _changes()
        if turn is LETTER:
            queues.block(writes, turn, "letter-1", EXPIRES_AT, TOKEN)
        else:
            queues.wait(writes, turn, arrival(TP("t.act", PARTITION), turn.place, b"s", RECORD, (("trace", b"1"),)))
        for put in writes.puts:
            message = parked.write(put)
            written[put.key.decode()] = (message.value or b"").hex()
    return [[key, value] for key, value in written.items() if value]


@pytest.mark.parametrize("name", KEPT)
def test_they_go_on_whole_and_in_order(name: str) -> None:
    parked = table("parked")
    for key, value in json.loads((FOLDER / name).read_text()):
        parked.recover(PARTITION, key.encode(), bytes.fromhex(value), None)
    queues = Queues(parked)
    assert queues.line(PARTITION, LETTER.queue) == [Waiter(3, "letter-1"), Waiter(5, None), Waiter(8, None)]
    assert (queues.turn_of(PARTITION, "letter-1"), queues.token_of(PARTITION, "letter-1")) == (LETTER, TOKEN)
    assert queues.expired(PARTITION, EXPIRES_AT) == [LETTER]
    for leaves, comes in ((LETTER, FIRST), (FIRST, SECOND)):
        writes = _changes()
        queues.leave(writes, leaves)
        for put in writes.puts:
            parked.write(put)
        found = queues.next(PARTITION, LETTER.queue)
        assert found is not None
        turn, record = found
        assert (turn, record.value, record.key) == (comes, RECORD, b"s")
        assert (record.topic, record.headers) == ("t.act", (("trace", b"1"),))


def test_what_is_written_today_is_what_was_kept() -> None:
    assert _parked() == json.loads((FOLDER / KEPT[-1]).read_text()), (
        "keep the old files, store what `_parked` gives now in the next parked-N.json, and add its name to KEPT"
    )
