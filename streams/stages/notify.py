"""Notify: tells people of audit records, by the routes of the settings and the classes of charters.

An audit record becomes a notice for each route that wants its class, on `notifications` with the route's name as key.
So one partition has all notices of a route. It collects them (`batches.py`) and sends one message for each class and
period (`messages.py`); timers set the time. No order stops notifications, because people are told of orders, too.
"""

from collections.abc import Iterator, Set

from nightdesk.processors.notifications import (
    FINDERS,
    OF_A_CASE,
    Batch,
    CaseClosing,
    Closing,
    Notice,
    RoutePolicy,
    classify,
    routes_of,
)
from nightdesk.schemas.records import AuditKind, AuditRecord, Notification
from nightdesk.schemas.topics import AUDIT, NOTIFICATIONS
from nightdesk.streams.api import Clock, Commit, Delivery, Route, Stage, StagedWrites, async_handler
from nightdesk.streams.control import Control
from nightdesk.streams.ports import Notifier
from nightdesk.streams.stage_spec import StageSpec, TableSpec
from nightdesk.streams.stages.batches import Batches
from nightdesk.streams.stages.messages import Messages, NotificationFailed
from nightdesk.streams.stages.notification_records import notification, over
from nightdesk.streams.stages.told_cases import ToldCases

TABLES = {
    "batches": TableSpec("each message that is collected or sent", "30 days"),
    "told": TableSpec(
        "which notices were sent, and what is over",
        "2 days; 30 days while what it is about is open",
        "the same notice is sent again",
    ),
    "told_cases": TableSpec(
        "of which classes of a case people were told",
        "30 days",
        "an alert that is still open then is not closed when the case ends",
    ),
}


class Notify(Stage):
    """The notify stage."""

    name = "notify"
    table_names = tuple(TABLES)

    def __init__(self, control: Control, notifier: Notifier, clock: Clock) -> None:
        super().__init__(clock)
        self._control = control
        self._notifier = notifier
        self._batches = Batches(clock)
        self._messages = Messages(notifier, self._batches, clock)
        self._cases = ToldCases(clock)
        self.tables = (*self._batches.tables, self._cases.table)
        self._commit: Commit

    def routes(self) -> tuple[Route, ...]:
        # Without routes nobody is told of anything.
        kinds: Set[AuditKind] = FINDERS.keys() if self._notifier.routes else frozenset()
        audit = Route(AUDIT, self.read, makes_dead_letters=False, audit_kinds=kinds)
        return (audit, Route(NOTIFICATIONS, async_handler(self.notified)))

    def bind(self, commit: Commit) -> None:
        self._commit = commit

    def recovered(self) -> Iterator[None]:
        yield from self._batches.recovered()

    def tick(self, partition: int, writes: StagedWrites) -> None:
        self._batches.tick()

    async def close(self) -> None:
        await self._notifier.close()

    # -- the audit

    def read(self, delivery: Delivery[AuditRecord], writes: StagedWrites) -> None:
        """Handle an audit record: emit a notice for each route that wants it. Most records are in no class."""
        for found in classify(delivery.record) if self._notifier.routes else ():
            if isinstance(found, Notice):
                self._tell(found, delivery.record, writes)
                continue
            for closing in self._cases.closings(found, writes) if isinstance(found, CaseClosing) else (found,):
                self._tell_end(closing, delivery.record, writes)

    def _tell(self, found: Notice, record: AuditRecord, writes: StagedWrites) -> None:
        card = "" if found.card is None else found.card.model_dump_json()
        for route in routes_of(found, record.agent, self._notifier.routes, self._wanted(record)):
            notice = notification(
                "tell",
                route,
                (record.record_id,),
                record.time,
                found.event_class,
                text=found.text,
                about=found.about,
                card=card,
            )
            writes.emit(NOTIFICATIONS, notice)
        if record.case_id is not None and found.event_class in OF_A_CASE and found.about:
            self._cases.told(record.case_id, found.event_class, writes)

    def _tell_end(self, closing: Closing, record: AuditRecord, writes: StagedWrites) -> None:
        for route in self._notifier.routes:
            causes = (record.record_id, closing.about)
            notice = notification(
                "closed", route, causes, record.time, closing.event_class, text=closing.text, about=closing.about
            )
            writes.emit(NOTIFICATIONS, notice)

    def _wanted(self, record: AuditRecord) -> dict[str, frozenset[str]]:
        """The classes that the agent's promoted charter adds to routes."""
        compiled = self._control.promoted(record.agent) if record.agent else None
        return {} if compiled is None else {name: frozenset(told) for name, told in compiled.charter.notify.items()}

    # -- the notices of a route

    async def notified(self, delivery: Delivery[Notification], writes: StagedWrites) -> None:
        """Handle a notice or a due timer. Raises `NotificationFailed` if nobody can be told."""
        notice = delivery.record
        policy = self._notifier.routes.get(notice.route)
        if policy is None:
            raise NotificationFailed(f"the settings have no route {notice.route!r}: add it, then replay this letter")
        match notice.kind:
            case "tell":
                self._batches.collect(notice, policy, writes)
            case "closed":
                self._close(notice, policy, writes)
            case "pass_on":
                batch = await self._batches.taken_over(notice, self._commit, writes)
                await self._send(batch, policy, writes)
            case "send":
                due = await self._batches.due(notice, self._commit, writes)
                if due is not None:
                    await self._send(due, policy, writes)
            case "unanswered":
                sent = self._batches.of(notice, writes)
                if sent is not None:
                    self._messages.look_after(sent, policy, writes)

    async def _send(self, batch: Batch, policy: RoutePolicy, writes: StagedWrites) -> None:
        """Send the batch, or close what was sent of it; nothing if that is done."""
        self._commit.alive()
        if batch.state == "sending":
            await self._messages.send(batch, policy, self._commit, writes)
        elif batch.state == "closing" or self._messages.is_to_be_closed(batch, writes):
            await self._messages.close(batch, policy, writes)

    def _close(self, notice: Notification, policy: RoutePolicy, writes: StagedWrites) -> None:
        """Handle that something is over: messages about it are over, unless they are about something else that is open.
        Where the channel cannot close them, those who were told are told of the end, if the route's policy says so.
        """
        is_told = policy.tells_end(notice.event_class) and notice.route not in self._notifier.closes
        if is_told and notice.text and self._batches.was_told(notice, writes):
            self._batches.collect(notice, policy, writes)
        for batch in self._batches.close(notice, writes):
            if self._messages.is_to_be_closed(batch, writes, notice.about):
                writes.emit(NOTIFICATIONS, over(batch, self._clock()))


SPEC = StageSpec(
    name=Notify.name,
    summary="Tells people of what the audit says: stops, failures, approvals, dead letters.",
    topics=(AUDIT, NOTIFICATIONS),
    tables=TABLES,
    build=lambda context: Notify(context.control, context.notifier(), context.clock),
    needs=("notify",),
)
