"""The events of a storm, all from one seed."""

import random
from datetime import UTC, datetime
from typing import Any

from nightdesk.schemas.records import Event
from tests.streams.fault_injection.conversation import Content

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def event(number: int, subject: str, **content: Any) -> Event:
    """An event with this content (see `Content`)."""
    data = Content(**content).model_dump_json()
    return Event(id=f"e-{number}", source="storm", type="storm", subject=subject, time=NOW, data=data)


def many(count: int, seed: int, subjects: int = 40) -> list[Event]:
    """`count` events of 5 to 200 ms about a few subjects; every second one acts in steps."""
    chance = random.Random(seed)
    return [
        event(
            number,
            f"s-{chance.randrange(subjects)}",
            delay_ms=chance.randint(5, 200),
            amount=chance.randint(1, 1000),
            in_steps=number % 2 == 0,
        )
        for number in range(count)
    ]
