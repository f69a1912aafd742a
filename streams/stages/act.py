"""Act: a decision's playbook is run, each step once, each outcome kept.

Trusts nobody: the charter's allowlist, parameters, rules and gates are asked again here, and the kill switch before
every call. `progress` keeps what was begun and what came of it; `calls.py` makes the calls.
"""

from datetime import datetime, timedelta
from typing import Any

import orjson

from processors import gate, playbook
from processors.charter.compiled import CompiledCharter
from processors.ledger.lines import asking, ended
from processors.playbook import Ending, Progress
from processors.provenance import Forged, check_origin
from processors.replies import AgentDecision
from processors.verification import verify
from schemas import ids
from schemas.records import ApprovalReply, Case, Decision, Permit
from schemas.topics import ACT, APPROVALS, BUDGET, DECIDE, LATER, PERMITS, PERMITTED
from streams.charters import Control
from streams.ports import Actions
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Route, conversing
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable
from streams.stages import audit, waiting
from streams.stages.approvals import Approvals
from streams.stages.calls import Calls
from streams.stages.errands import Errand, Grant, ProgressTable, RetryLater
from streams.stages.timers import as_reminder
from streams.stages.turns import TurnNeeded
from streams.stages.undos import bury_failed, of_a_replay


class Act:
    """Handlers of the act stage."""

    name = "act"
    table_names = ("progress", "approvals", "circuits", "answers")

    def __init__(self, control: Control, actions: Actions, clock: Clock) -> None:
        self._control = control
        self._actions = actions
        self._clock = clock
        self._approvals = Approvals(clock)
        self._progress = ProgressTable(clock)
        self._calls = Calls(control, actions, clock, self._progress)

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(ACT, conversing(self.act), waiting.of_cases(self._control)),
            Route(APPROVALS, conversing(self.answered)),
            Route(PERMITTED, conversing(self.permitted)),
        )

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self._approvals.bind(tables)
        self._progress.bind(tables["progress"], commit)
        self._calls.bind(tables, commit)

    def recovered(self) -> None:
        self._calls.recovered()

    def tick(self, partition: int, changes: Changes) -> None:
        self._progress.tick(partition, changes)
        self._calls.tick(partition, changes)

    async def close(self) -> None:
        await self._actions.close()

    # -- what comes in

    async def act(self, delivery: Delivery[Decision], changes: Changes) -> None:
        """One decision: done, held for a person, or refused. Raises `Forged` for one that none of ours made."""
        errand = await self._errand(delivery.record, delivery, changes)
        errand.kept = errand.kept.with_replay(errand.decision.decision_id, delivery.replay_of)
        await self._take_up(errand)

    async def permitted(self, delivery: Delivery[Permit], changes: Changes) -> None:
        """Leave to go on with a decision whose turn has come."""
        permit = delivery.record
        if permit.slot_at is None:
            raise Forged("a permit on this topic says when its slot is")
        errand = await self._errand(permit.decision, delivery, changes)
        grant = Grant(number=permit.number, slot_at=permit.slot_at)
        errand.kept = errand.kept.with_grant(permit.purpose, grant)
        await self._take_up(errand)

    async def answered(self, delivery: Delivery[ApprovalReply], changes: Changes) -> None:
        """A person's answer to a decision that is held here."""
        decision = self._approvals.take(delivery, changes, self._clock())
        if decision is not None:
            errand = await self._errand(decision, delivery, changes)
            errand.kept = errand.kept.model_copy(update={"approved_by": delivery.record.person})
            await self._proceed(errand)

    async def _errand(self, decision: Decision, delivery: Delivery[Any], changes: Changes) -> Errand:
        compiled = await self._control.charter_soon(decision.case.agent, decision.case.charter_version)
        place = f"{delivery.topic.name}:{delivery.partition}:{delivery.offset}"
        kept = self._progress.read(changes.partition, decision.decision_id)
        return Errand(decision, compiled, delivery.traceparent, place, changes, kept)

    async def _take_up(self, errand: Errand) -> None:
        check_origin(errand.decision, errand.compiled)
        self._progress.check_step_before(errand)
        payload, done = errand.payload_sha256, errand.kept.payload_sha256
        held = self._approvals.payload_held(errand.decision, errand.changes)
        if (done or held) and payload not in (done, held):
            raise Forged(f"decision {errand.decision.decision_id} is known with another payload")
        approved = errand.kept.approved_by is not None and done in (None, payload)
        if held == payload and not approved:
            # Once it is held only an answer lets it go, whatever this copy of it says.
            self._approvals.hold(errand.decision, errand.traceparent, errand.changes)
        else:
            await self._proceed(errand)

    async def _proceed(self, errand: Errand) -> None:
        decision = errand.decision
        disposed = _checked_again(decision, errand.compiled, approved=errand.kept.approved_by is not None)
        if disposed.disposition == "needs_approval":
            self._approvals.hold(decision, errand.traceparent, errand.changes, disposed.reason)
        elif disposed.disposition == "refused":
            self._end(errand, Ending("refused", (), reason=disposed.reason))
        else:
            if decision.disposition != disposed.disposition:
                errand.decision = decision.model_copy(update={"disposition": disposed.disposition})
            await self._run(errand)

    async def _run(self, errand: Errand) -> None:
        known = Progress(errand.kept.outcomes, errand.kept.intents)
        flow = playbook.run(errand.decision, errand.compiled, known, errand.kept.at)
        try:
            step = next(flow)
            while True:
                step = flow.send(await self._calls.make(errand, step))
        except StopIteration as end:
            self._end(errand, end.value)
        except RetryLater as wait:
            flow.close()
            self._come_again(errand, wait)
        except TurnNeeded as needed:
            flow.close()
            self._progress.remember(errand)
            errand.changes.emit(PERMITS, needed.permit)

    # -- what goes out

    def _end(self, errand: Errand, ending: Ending) -> None:
        decision, changes, now = errand.decision, errand.changes, self._clock()
        self._progress.leave_off(errand, ending)
        acted = audit.acted(decision, ending.outcomes, ending.status, ending.reason, errand.traceparent, now)
        changes.audit(of_a_replay(acted, errand.kept.replays))
        bury_failed(errand, ending, now)
        for timer in ending.reminders:
            changes.emit(LATER, as_reminder(timer, changes.codec, errand.traceparent))
        if errand.compiled.charter.watches_errors and ending.status != "refused":
            changes.emit(BUDGET, ended(decision, now, failed=ending.status == "failed"))
        if ending.next_case is not None:
            _go_on(ending.next_case, changes, now)

    def _come_again(self, errand: Errand, wait: RetryLater) -> None:
        """The same decision once more. A record waits once at most, so that read twice it sets one timer."""
        decision, now = errand.decision, self._clock()
        timer = playbook.Timer(
            reminder_id=ids.reminder_id("retry", decision.decision_id, errand.place),
            subject=decision.subject,
            due_at=now + timedelta(seconds=wait.after_s),
            topic=ACT.name,
            record=errand.read,
            reason=f"again: {wait}",
            case_id=decision.case.case_id,
        )
        self._progress.remember(errand)
        errand.changes.emit(LATER, as_reminder(timer, errand.changes.codec, errand.traceparent))
        errand.changes.audit(audit.queued(decision, timer, errand.place, errand.traceparent, now))


def _checked_again(decision: Decision, compiled: CompiledCharter, *, approved: bool) -> gate.Disposed:
    """The gates' answer by the charter alone; a vote that went wrong in the decide stage still asks a person."""
    answer = AgentDecision(
        action=decision.action,
        confidence=decision.confidence,
        parameters=orjson.loads(decision.parameters),
        reasoning=decision.reasoning,
    )
    rules = {rule.policy.name for rule in compiled.rules}
    others = tuple(verdict for verdict in decision.verdicts if verdict.rule not in rules)
    verdicts = (*verify(compiled, decision.case, answer), *others)
    disposed = gate.dispose(compiled, decision.case, answer, verdicts, approved=approved)
    if disposed.disposition == "execute" and decision.disposition == "needs_approval" and not approved:
        return gate.Disposed("needs_approval", decision.disposition_reason)
    if disposed.disposition != "refused" and decision.disposition == "dry_run":
        return gate.Disposed("dry_run", decision.disposition_reason)
    return disposed


def _go_on(case: Case, changes: Changes, now: datetime) -> None:
    """The next step of a case: it asks for money first, but for one that a person is to have."""
    if case.escalate_because:
        changes.emit(DECIDE, case)
    else:
        changes.emit(BUDGET, asking(case, now))
