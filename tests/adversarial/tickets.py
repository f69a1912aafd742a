"""Tickets of the attack, as the world sends them and as the oracle knows them."""

from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from nightdesk.schemas.records import Event

SOURCE = "enemy"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TYPE = "ticket.created"


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket. `text` is what the customer wrote; the charter's rules look at `amount` and `customer`."""

    event_id: str
    subject: str
    customer: str
    amount: float = 50.0
    text: str = "I want my money back."

    def event(self) -> Event:
        data = {
            "status": "open",
            "customer": self.customer,
            "amount": self.amount,
            "text": self.text,
            "attack": self.event_id,
        }
        return Event(
            id=self.event_id, source=SOURCE, type=TYPE, subject=self.subject, time=NOW, data=orjson.dumps(data).decode()
        )


def ticket(name: str, **said: str) -> Ticket:
    """A ticket of a subject and customer of its own."""
    return Ticket(name, **({"subject": f"ticket-{name}", "customer": f"customer-{name}"} | said))  # type: ignore[arg-type]  # mypy loses the keys
