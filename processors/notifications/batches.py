"""A batch: the notices of one class that a route gets in one message. Pure."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from nightdesk.processors.notifications.cards import ApprovalCard
from nightdesk.schemas.records import Notification

ITEMS_AT_MOST = 10
ABOUT_AT_MOST = 200


class Batch(BaseModel):
    """Notices of one route and class. `items` are the first of `count` texts; `about` names the things that a person
    can take care of. `attempts` counts the failed calls. `closing`: what was sent is over, and its channel has to be
    told. `ends` counts the notices that something is over. `over`: of `about`, what was over when another route passed
    the batch on. `cards` are those of decisions that wait. `run`: how many messages of its class came before it, one
    soon after the other.

    `error` is that of the last call that failed, at `failed_at`; calls have failed since `failing_since`. `next_at` is
    when the next one is made. `is_given_up`: the batch is a dead letter. `sent_at`: when the channel took it.
    """

    batch_id: str
    route: str
    event_class: str
    first_at: datetime
    last_at: datetime
    due_at: datetime
    count: int = 0
    ends: int = 0
    items: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    note: str = ""
    attempts: int = 0
    run: int = 0
    cards: tuple[ApprovalCard, ...] = ()
    state: Literal["collecting", "sending", "sent", "passed_on", "closing", "over"] = "collecting"
    error: str = ""
    failed_at: datetime | None = None
    failing_since: datetime | None = None
    next_at: datetime | None = None
    is_given_up: bool = False
    sent_at: datetime | None = None

    @property
    def is_to_be_sent(self) -> bool:
        """Whether its channel has still to take it."""
        return self.state in ("collecting", "sending") and not self.is_given_up

    @property
    def can_be_over(self) -> bool:
        """Whether all that it is about is known and can be closed."""
        return 0 < self.count - self.ends == len(self.about)

    def failing(self, error: str, now: datetime) -> "Batch":
        """The batch after a call that failed."""
        since = self.failing_since or now
        changes = {"attempts": self.attempts + 1, "error": error, "failed_at": now, "failing_since": since}
        return self.model_copy(update=changes)

    def sent(self, now: datetime) -> "Batch":
        """The batch after its channel took it."""
        return self.model_copy(update={"state": "sent", "sent_at": now, "is_given_up": False, "next_at": None})

    def passed_to(self, notice: Notification, now: datetime) -> "Batch":
        """The batch as that of the route to which the notice passes it, which has not been called yet."""
        named = {"batch_id": notice.notification_id, "route": notice.route, "note": notice.text, "due_at": now}
        fresh = {"attempts": 0, "error": "", "failed_at": None, "failing_since": None, "next_at": None, "sent_at": None}
        return self.model_copy(update={**named, **fresh, "state": "sending"})

    def having(self, notice: Notification) -> "Batch":
        """The batch with one more notice."""
        items = self.items if len(self.items) >= ITEMS_AT_MOST else (*self.items, notice.text)
        counts = {"count": self.count + 1, "ends": self.ends + (notice.kind == "closed")}
        is_named = bool(notice.about) and notice.kind == "tell" and len(self.about) < ABOUT_AT_MOST
        about = (*self.about, notice.about) if is_named else self.about
        changes = {**counts, "cards": self._cards_with(notice), "items": items, "about": about, "last_at": notice.time}
        return self.model_copy(update=changes)

    def _cards_with(self, notice: Notification) -> tuple[ApprovalCard, ...]:
        """The cards with the notice's; of two cards of one decision the newer counts."""
        if not notice.card or len(self.cards) >= ITEMS_AT_MOST:
            return self.cards
        card = ApprovalCard.model_validate_json(notice.card)
        return (*(other for other in self.cards if other.decision_id != card.decision_id), card)
