"""Sends the batches of the routes, and closes a message when what it is about is over.

A message is sent at least once, with the id of its batch as idempotency key. If a channel fails it is tried again, then
the route's `otherwise` gets the batch, and after the last route it becomes a dead letter.
"""

import logging
from datetime import datetime, timedelta
from typing import Literal

from nightdesk.processors import backoff
from nightdesk.processors.notifications import ANSWERED, Batch, RoutePolicy, message_of
from nightdesk.processors.playbook import StepResult
from nightdesk.schemas import audit_records
from nightdesk.schemas.audit import NotificationDetail
from nightdesk.schemas.topics import NOTIFICATIONS, TIMERS
from nightdesk.streams.api import Clock, Commit, StagedWrites
from nightdesk.streams.ports import Notifier
from nightdesk.streams.stages.batches import Batches
from nightdesk.streams.stages.notification_records import over, passed_on, timer_for

log = logging.getLogger(__name__)

RETRY_AFTER_AT_MOST_S = 3600.0


class NotificationFailed(ValueError):
    """No route could be told: the batch becomes a dead letter, and a replay sends it again."""


class Messages:
    """Sends and closes messages through the notifier."""

    def __init__(self, notifier: Notifier, batches: Batches, clock: Clock) -> None:
        self._notifier = notifier
        self._batches = batches
        self._clock = clock

    async def send(self, batch: Batch, policy: RoutePolicy, commit: Commit, writes: StagedWrites) -> None:
        """Send a batch that is due, unless its route is in quiet hours by now. Raises `NotificationFailed`."""
        now = self._clock()
        may_be_sent_at = policy.not_before(batch.event_class, now)
        if may_be_sent_at > now:
            self._wait(batch.model_copy(update={"due_at": may_be_sent_at}), may_be_sent_at, writes)
            return
        result = await self._notifier.send(message_of(batch, len(self._batches.over(batch, writes))))
        now = self._clock()
        if result.status == "done":
            self._sent(batch, policy, result, now, writes)
            return
        batch = batch.failing(str(result.error), now)
        if self._is_tried_again(batch, policy, result, now, writes):
            return
        error = f"{batch.route} cannot be told: {result.error}"
        log.error("route %s", error)
        if not policy.otherwise:
            await self._give_up(batch, commit, writes)
            raise NotificationFailed(f"route {error}")
        self._batches.keep(batch.model_copy(update={"state": "passed_on"}), writes)
        self._pass_on(batch, policy, error, now, writes)
        self._audit(batch, error, now, writes, sent=False)

    async def _give_up(self, batch: Batch, commit: Commit, writes: StagedWrites) -> None:
        """Make durable that the route was given up, because the staged writes of a record that becomes a dead letter
        are dropped.
        """
        durable = writes.empty()
        self._batches.keep(batch.model_copy(update={"is_given_up": True}), durable)
        await commit(durable)

    async def close(self, batch: Batch, policy: RoutePolicy, writes: StagedWrites) -> None:
        """Close a message through its channel, because everything that it is about is over. Quiet hours do not matter,
        because nobody is told.
        """
        if batch.state == "sent":
            batch = batch.model_copy(update={"state": "closing", "attempts": 0, "due_at": self._clock()})
        result = await self._notifier.send(message_of(batch))
        now = self._clock()
        is_done = result.status == "done"
        batch = batch.sent(now) if is_done else batch.failing(str(result.error), now)
        if not is_done and self._is_tried_again(batch, policy, result, now, writes):
            return
        self._batches.keep(batch.model_copy(update={"state": "over"}), writes)
        reason = "all of it is taken care of" if is_done else f"{batch.route} cannot be closed: {result.error}"
        self._audit(batch, reason, now, writes, sent=is_done, cause="end")

    def look_after(self, batch: Batch, policy: RoutePolicy, writes: StagedWrites) -> None:
        """Pass the batch to the next route if somebody still has to take care of it."""
        still_open = self._batches.still_open(batch, writes)
        if batch.state == "sent" and policy.otherwise and still_open:
            why, now = f"{len(still_open)} not answered by {batch.route}", self._clock()
            self._pass_on(batch, policy, why, now, writes)
            self._audit(batch, why, now, writes, sent=True, cause="silence")

    def _pass_on(self, batch: Batch, policy: RoutePolicy, why: str, now: datetime, writes: StagedWrites) -> None:
        batch = batch.model_copy(update={"over": self._batches.over(batch, writes)})
        writes.emit(NOTIFICATIONS, passed_on(batch, policy.otherwise, why, now))

    def is_to_be_closed(self, batch: Batch, writes: StagedWrites, closed: str = "") -> bool:
        """Whether the channel can close the message and everything that it is about is over, including what is `closed`
        now.
        """
        return (
            batch.state == "sent"
            and batch.route in self._notifier.closes
            and self._batches.is_over(batch, writes, closed)
        )

    def _sent(self, batch: Batch, policy: RoutePolicy, result: StepResult, now: datetime, writes: StagedWrites) -> None:
        batch = batch.sent(now)
        self._batches.keep(batch, writes)
        self._audit(batch, "told" if result.error is None else result.error, now, writes, sent=True)
        is_answered = batch.event_class in ANSWERED and bool(batch.about)
        if policy.unanswered_after is not None and policy.otherwise and is_answered:
            asked_at = now + timedelta(seconds=policy.unanswered_after)
            writes.emit(TIMERS, timer_for(batch, "unanswered", asked_at, writes))
        if self.is_to_be_closed(batch, writes):
            writes.emit(NOTIFICATIONS, over(batch, now))

    def _is_tried_again(
        self, batch: Batch, policy: RoutePolicy, result: StepResult, now: datetime, writes: StagedWrites
    ) -> bool:
        asked_s = min(result.retry_after_seconds or 0.0, RETRY_AFTER_AT_MOST_S)
        delay_s = max(backoff.delay_s(f"{batch.batch_id}:{batch.attempts}", batch.attempts), asked_s)
        again_at = now + timedelta(seconds=delay_s)
        if not result.retryable or again_at > batch.due_at + timedelta(seconds=policy.give_up_after):
            return False
        self._wait(batch, again_at, writes)
        return True

    def _wait(self, batch: Batch, until: datetime, writes: StagedWrites) -> None:
        self._batches.keep(batch.model_copy(update={"next_at": until}), writes)
        writes.emit(TIMERS, timer_for(batch, "send", until, writes))

    def _audit(
        self,
        batch: Batch,
        reason: str,
        now: datetime,
        writes: StagedWrites,
        *,
        sent: bool,
        cause: Literal["events", "silence", "end"] = "events",
    ) -> None:
        detail = NotificationDetail(
            route=batch.route, event_class=batch.event_class, count=batch.count, sent=sent, cause=cause
        )
        writes.audit(audit_records.notified(batch.batch_id, detail, reason, writes.traceparent, now))
