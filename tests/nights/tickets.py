"""The events of a night: each is like one of its charter's example day, with an id, a time and a subject of its own."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson

from nightdesk.processors import routing
from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.scopes import DataInvalid, event_scope
from nightdesk.schemas.records import Event
from tests.nights.night import Arrivals, Night, merged


def events(night: Night, folder: Path, compiled: CompiledCharter, rng: Random) -> list[Event]:
    """All of them, in the order in which they arrive."""
    examples = [orjson.loads(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]
    good = [example for example in examples if _is_taken(_event(example, night.since, "e", "t"), compiled)]
    made = []
    for group, arrivals in enumerate(night.arrivals):
        like = examples if arrivals.like == "any" else good
        made += _of_group(group, arrivals, night, [merged(example, {"data": arrivals.data}) for example in like], rng)
    return sorted(made, key=lambda event: event.time)


def _of_group(group: int, arrivals: Arrivals, night: Night, examples: list[dict[str, Any]], rng: Random) -> list[Event]:
    begin, end = night.at(arrivals.since).timestamp(), night.at(arrivals.until).timestamp()
    times = sorted(rng.uniform(begin, end) for _ in range(arrivals.count))
    subjects = arrivals.subjects or arrivals.count
    return [
        _event(
            rng.choice(examples),
            datetime.fromtimestamp(round(at, 3), UTC),
            f"event-{group}-{number}",
            f"ticket-{group}-{number if subjects >= arrivals.count else rng.randrange(subjects)}",
        )
        for number, at in enumerate(times)
    ]


def _event(example: dict[str, Any], at: datetime, event_id: str, subject: str) -> Event:
    data = orjson.dumps(example.get("data")).decode()
    return Event(id=event_id, source=example["source"], type=example["type"], subject=subject, time=at, data=data)


def _is_taken(event: Event, compiled: CompiledCharter) -> bool:
    try:
        match = routing.match(compiled, event, event_scope(event))
    except DataInvalid:
        return False
    return match.routed is not None and not match.problems
