"""Approvals: a decision that needs a person waits in a table, and everything else continues.

It is part of the act stage (the same partition has the decision, its answer and the other decisions about its subject).
A hash binds an answer to what the person saw: an answer with another hash changes nothing. The first answer counts.

When a decision is due for a reminder or has expired, `tick` emits an answer of kind `expire` to the topic of the
answers, so that it is handled in order with them. An answer that is read after the expiry does not count, with or
without that record.

`subject_decisions` has, by agent and subject, the decisions that wait and the last approved ones. An approval changes
what the others show: people are asked again about each, and answers to the earlier text do not count. So nobody
approves a second refund of a ticket without having seen the first one.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import orjson

from nightdesk.processors.charter.actions import Action
from nightdesk.processors.execution.events import ApprovalExpired, ApprovalRead
from nightdesk.processors.four_eyes import ApprovalRule
from nightdesk.processors.provenance import payload_sha256
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import ApprovalReply, Decision, Event, SubjectEvent
from nightdesk.schemas.topics import APPROVALS
from nightdesk.streams.api import Clock, Delivery, StagedWrites
from nightdesk.streams.ports import ANYBODY, Persons
from nightdesk.streams.stages import approval_records
from nightdesk.streams.stages.approval_checks import NEWER_EVENT, answered_by, is_late, problem_with
from nightdesk.streams.stages.cards import Cards
from nightdesk.streams.stages.execution import ExecutionTask
from nightdesk.streams.stages.held_decisions import Held, agreed, hold
from nightdesk.streams.stages.held_table import HeldTable
from nightdesk.streams.stages.paused_time import PausedTime
from nightdesk.streams.stages.subject_events import SubjectEvents
from nightdesk.streams.stages.subject_table import SubjectTable

# At most this many are emitted in a tick, so that a thousand that are due at once do not block the partition.
EMITTED_A_TICK = 500


class Answered(NamedTuple):
    """A decision that continues after an answer, and how."""

    decision: Decision
    event: ApprovalRead | ApprovalExpired


class Approvals:
    """The waiting decisions of the act stage."""

    def __init__(self, clock: Clock, paused_time: PausedTime, persons: Persons = ANYBODY) -> None:
        self._clock = clock
        self._persons = persons
        self._held = HeldTable(paused_time)
        self._subjects = SubjectTable(clock)
        self.newer_events = SubjectEvents(clock)
        self._cards = Cards(self._held, self._subjects)
        self.tables = (self._held.table, self._subjects.table, self.newer_events.table)

    def recovered(self) -> Iterator[None]:
        """Derive the due time of each decision again."""
        return self._held.recovered()

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Emit a record for each decision that is due. Nothing is stored about it, because a second record changes
        nothing.
        """
        for held in self._held.due(partition, self._clock(), EMITTED_A_TICK):
            writes.continue_trace(held.traceparent)
            writes.emit(APPROVALS, approval_records.expiry_reply(held))

    def payload_held(self, decision: Decision, writes: StagedWrites) -> str | None:
        """The payload hash of the decision that is held under this id, answered or not."""
        held = self._held.table.get(writes.partition, decision.decision_id)
        return None if held is None else payload_sha256(held.decision)

    def other_open(self, decision: Decision, policy: Action | None, writes: StagedWrites) -> str | None:
        """Another waiting decision for the same action and subject whose approver has to see this one, too."""
        if policy is None or policy.one_open_per != "subject":
            return None
        others = self._subjects.of(decision, writes).others_open(decision)
        return others[0].decision_id if others else None

    def hold(self, task: ExecutionTask, reason: str, rule: ApprovalRule) -> Event | None:
        """Hold the decision, unless it is held already; a replay asks again. Returns an earlier event that takes it
        back, if there is one.
        """
        execution, writes, traceparent = task.execution, task.writes, task.traceparent
        decision, replays = execution.decision, execution.state.replays
        now, others = self._clock(), self._subjects.of(decision, writes)
        held = self._held.read(writes.partition, decision.decision_id)
        # A charter that was promoted may have removed it.
        policy = execution.compiled.charter.actions.get(decision.action)
        if policy is not None and (held is None or held.is_asked_again(replays)):
            times = held.asked_again(replays) if held else {}
            held = hold(decision, policy, others, reason or (held.reason if held else ""), traceparent, now)
            held = held.model_copy(update={**times, "paused_s": task.execution.paused_s, "rule": rule})
            newer = self.newer_events.one_that_takes_back(held, writes.partition)
            held = held if newer is None else held.taken_back(newer, f"{NEWER_EVENT}@{task.place}")
            self._held.put(held, writes, None if newer is None else now)
            self._subjects.put(decision, others, others if newer else others.with_open(decision), writes)
        if held is not None and held.taken_back_by and held.answered_by == f"{NEWER_EVENT}@{task.place}":
            about = (held.decision, held.taken_back_by, NEWER_EVENT, traceparent, now)
            writes.audit(audit_records.approval_reconsidered(*about))
            return held.taken_back_by
        if held is not None:
            writes.audit(approval_records.asked(held, others, traceparent, now))
        return None

    def held(self, reply: ApprovalReply, partition: int) -> Decision | None:
        """The decision that the answer names, if it is held here, answered or not."""
        held = self._held.read(partition, reply.decision_id)
        return None if held is None else held.decision

    def take(
        self, delivery: Delivery[ApprovalReply], rule: ApprovalRule | None, writes: StagedWrites, now: datetime
    ) -> Answered | None:
        """The decision that continues after an answer; None if none does or the answer does not count. `rule` says who
        has to approve, by the charter as it is now; None if nobody approves here.
        """
        reply, place, trace = delivery.record, f"{delivery.partition}:{delivery.offset}", delivery.traceparent
        held = self._held.read(delivery.partition, reply.decision_id)
        if held is None:
            approval_records.void(reply, "no decision with this id waits", place, trace, writes, now)
            return None
        if reply.verdict == "expire" and held.is_open:
            return self._take_due(held, place, trace, writes, now)
        if (agreement := held.agreement_at(place)) is not None:  # redelivered
            self._cards.tell(held, reply, agreement, writes, now)
            return None
        if is_late(reply, held, place, now):
            late = f"it came after {held.expires_at:%Y-%m-%d %H:%M} UTC, when the decision had expired"
            approval_records.void(reply, late, place, trace, writes, now)
            return self._expire(held, place, trace, writes, now)
        held = self._cards.show_anew(held, writes, now, rule)
        if wrong := problem_with(reply, held, place, self._persons):
            approval_records.void(reply, wrong, place, trace, writes, now)
            return None
        if reply.verdict == "expire":  # the one that ended it, redelivered
            return self._expire(held, place, trace, writes, now)
        if held.is_open and reply.verdict != "reject":
            proposed = held.edited_by(reply.parameters, self._subjects.of(held.decision, writes))
            if refused := proposed.refusal(reply.person):
                approval_records.void(reply, refused, place, trace, writes, now)
                return None
            if missing := proposed.missing_with(reply.person):
                held = agreed(proposed, reply.person, self._persons.identity(reply), place, missing)
                self._held.put(held, writes)
                self._cards.tell(held, reply, held.agreements[-1], writes, now)
                return None
        return self._answer(held, reply, place, trace, writes, now)

    def take_back(self, delivery: Delivery[SubjectEvent], agent: str, writes: StagedWrites) -> list[Decision]:
        """The agent's decisions about the subject that an event takes back. A redelivered record gives the same
        decisions.
        """
        event, at, place = delivery.record.event, delivery.record.received_at, f"{delivery.partition}:{delivery.offset}"
        before = self._subjects.about(agent, event.subject, writes)
        found, after = [], before
        for decision_id in before.may_be_taken_back(place):
            held = self._held.read(writes.partition, decision_id)
            if held is not None and held.is_taken_back_by(event, at):
                after = after.with_taken_back(decision_id, place)
                held = held.model_copy(update={"answered_by": f"{NEWER_EVENT}@{place}", "verdict": "reconsider"})
                self._held.put(held, writes, self._clock())
            if held is not None and held.answered_by == f"{NEWER_EVENT}@{place}":
                about = (held.decision, event, NEWER_EVENT, delivery.traceparent, self._clock())
                writes.audit(audit_records.approval_reconsidered(*about))
                found.append(held.decision)
        if found:
            self._subjects.put(found[0], before, after, writes)
        return found

    # -- answers

    def _answer(
        self, held: Held, reply: ApprovalReply, place: str, trace: str, writes: StagedWrites, now: datetime
    ) -> Answered | None:
        identity, decision = self._persons.identity(reply), held.decision
        self._held.put(answered_by(reply, held, place), writes, now)
        before = () if reply.verdict == "reject" else held.agreed
        if reply.verdict == "approve" and held.edited is not None:
            reply = reply.model_copy(update={"verdict": "edit", "parameters": held.edited})
        writes.audit(approval_records.answered(reply, identity, decision, place, trace, now, before))
        known = self._subjects.of(decision, writes)
        others = known.without(decision.decision_id)
        if reply.verdict == "reject":
            self._subjects.put(decision, known, others, writes)
            reason = f"rejected by {approval_records.shown(reply, identity)}: {reply.reason}"
            writes.audit(audit_records.acted(decision, (), "refused", reason, trace, now))
            return None
        if reply.parameters is not None:
            parameters = orjson.dumps(orjson.loads(reply.parameters)).decode()
            decision = decision.model_copy(update={"parameters": parameters})
        others = others.with_approved(decision, now)
        self._subjects.put(decision, known, others, writes)
        self._cards.show_others_anew(decision, others, writes, now)
        return Answered(decision, ApprovalRead(", ".join((*(one.person for one in before), reply.person))))

    def _take_due(
        self, held: Held, place: str, traceparent: str, writes: StagedWrites, now: datetime
    ) -> Answered | None:
        """Handle a record of kind `expire`. Our own clock and the table decide what is due, because the record may be
        early or forged.
        """
        if now >= held.expires_at:
            return self._expire(held, place, traceparent, writes, now)
        if held.remind_at and held.remind_at[0] <= now:
            held = held.reminded(place, now)
            self._held.put(held, writes)
        if held.reminded_at == place:  # now, or before this record was redelivered
            writes.audit(
                audit_records.approval_reminded(held.decision, held.reminders, held.expires_at, traceparent, now)
            )
        self._held.look_again(held, writes.partition)
        return None

    def _expire(self, held: Held, place: str, traceparent: str, writes: StagedWrites, now: datetime) -> Answered:
        """End a decision that nobody answered in time, as its charter says."""
        decision, reply = held.decision, approval_records.expiry_reply(held)
        self._held.put(answered_by(reply, held, place), writes, now)
        others = self._subjects.of(decision, writes)
        self._subjects.put(decision, others, others.without(decision.decision_id), writes)
        cause = f"expired:{held.replays}" if held.replays else "expired"
        writes.audit(approval_records.answered(reply, "claimed", decision, cause, traceparent, now))
        return Answered(decision, ApprovalExpired(held.expires_at))
