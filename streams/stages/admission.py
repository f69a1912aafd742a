"""Starts each step of a case when its gates are open, and keeps the others in order.

It is part of the budget stage, where all steps of an agent pass in one order. The rules are in `processors/admission`.
A step whose gates are open starts with the record that asks for it. Any other waits until its gate opens; then a tick
makes one pass over the queue, so no step polls.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import islice

from nightdesk.processors.admission import MODEL, AgentQueue, Ended, Shut, Started, WaitingStep, admit
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.ledger import Fact
from nightdesk.processors.ledger.admission import escalate_step
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import BudgetEntry, Case
from nightdesk.streams.api import Clock, Delivery, StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.stages.accounts import Accounts
from nightdesk.streams.stages.admission_judge import AdmissionJudge
from nightdesk.streams.stages.admission_output import audit_waiting, emit_admission, emit_resumed, too_long
from nightdesk.streams.stages.waiting_rows import WaitingRow, new_row, row_key, step_name
from nightdesk.streams.stages.waiting_steps import WaitingSteps, measure

# At most this many steps of an agent go on in one tick, so that the queue of a whole night does not block the
# partition.
ADMITTED_A_TICK = 200


class Admission:
    """Decides which steps of the agents in our partitions may go on."""

    def __init__(self, control: Control, clock: Clock, accounts: Accounts) -> None:
        self._control = control
        self._clock = clock
        self._accounts = accounts
        self._waiting = WaitingSteps()
        self._judge = AdmissionJudge(control, accounts, self._waiting)
        self.tables = (self._waiting.table, self._waiting.clocks)

    def recovered(self) -> Iterator[None]:
        """Build every queue again, after the accounts."""
        return self._waiting.recovered(self._accounts)

    # -- a step asks

    def ask(self, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        """Start the step of the entry's case, queue it, give it to a person or refuse it. A repeated request gets the
        same answer.
        """
        case = delivery.record.case
        if case is None:
            raise ValueError("a reserve entry needs the case that it is for")
        fact = self._accounts.fact_of(delivery.partition, case)
        row = self._waiting.table.get(delivery.partition, row_key(case))
        if fact is not None:
            emit_admission(fact, case, writes)
        elif row is not None:
            audit_waiting(row, writes)
        else:
            self._ask_first(case, delivery, writes)

    def _ask_first(self, case: Case, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        now, agent = self._clock(), self._waiting.of(delivery.partition, case.agent)
        compiled = self._control.charter(case.agent, case.charter_version)
        agent.obey(self._control.halted(case.agent), now.timestamp())
        row = self._new_row(compiled, delivery, now)
        step = row.step()
        kept_by = agent.keeps(step, behind_unsure=delivery.partition in self._waiting.unsure)
        verdict = self._judge.case(agent, compiled, case, row.rank, now, (row.amount_microusd, step.needs))
        if isinstance(verdict, Ended) or (isinstance(verdict, Started) and kept_by is None):
            reason = row.explained(verdict.outcome.reason)
            fact = verdict.outcome.model_copy(update={"arrival": row.arrival, "reason": reason})
            emit_admission(fact, case, writes)
            self._accounts.remember(fact, None, writes)
            self._waiting.count_arrival(delivery.partition, row.arrival)
            if isinstance(verdict, Started):
                agent.starts(step.needs, step_name(case.case_id, case.step))
        else:
            shut = verdict if isinstance(verdict, Shut) and kept_by is None else kept_by
            assert shut is not None, "a step that does not go on has a gate that keeps it"
            self._wait(row, shut, compiled, writes)

    def give_back(self, fact: Fact, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        """Queue a step that decide gave back (`fact` is new): it waits at its old place, and so does every step that
        needs the same resource.
        """
        entry, now = delivery.record, self._clock()
        case = entry.case
        assert case is not None, "the ledger takes no return without its case"
        compiled = self._control.charter(case.agent, case.charter_version)
        row = self._new_row(compiled, delivery, now)
        row = row.model_copy(update={"arrival": fact.arrival or row.arrival, "was_probe": fact.is_probe})
        agent, name = self._waiting.of(delivery.partition, case.agent), step_name(case.case_id, case.step)
        agent.obey(self._control.halted(case.agent), now.timestamp())
        if entry.cause == "paused":
            agent.due_at = 0.0
            shut = agent.stopped_by or Shut("paused", MODEL, entry.reason)
        else:
            shut = agent.returns(name, entry.retry_after_s, entry.reason, now.timestamp())
        self._wait(row, shut, compiled, writes)

    def _wait(self, row: WaitingRow, shut: Shut, compiled: CompiledCharter, writes: StagedWrites) -> None:
        now = self._clock().timestamp()
        agent = self._waiting.of(writes.partition, row.case.agent)
        row = row.kept_by(shut).model_copy(update={"stood_still_s": now - agent.clock.at(now)})
        if shut.gate == "unavailable":
            row = row.until_at_most(row.since + compiled.charter.decide.longest_wait_s)
        audit_waiting(row, writes)
        self._waiting.add(row, shut, writes)

    def give_back_again(self, known: Fact | None, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        """Repeat the output of `give_back` while the step waits. A step whose row was not written begins to
        wait now.
        """
        case = delivery.record.case
        row = None if case is None else self._waiting.table.get(delivery.partition, row_key(case))
        if row is not None:
            audit_waiting(row, writes)
        elif case is not None and known is not None and (known.state, known.returns) == ("returned", case.returns):
            self.give_back(known, delivery, writes)

    def _new_row(self, compiled: CompiledCharter, delivery: Delivery[BudgetEntry], now: datetime) -> WaitingRow:
        case = delivery.record.case
        assert case is not None, "only an entry with its case asks"
        # A later step keeps the number of its case, so it goes before cases that came later.
        first = self._accounts.fact(delivery.partition, case.agent, case.case_id, 0) if case.step else None
        next_number = self._waiting.next_arrival(delivery.partition, now.timestamp())
        return new_row(case, compiled, first.arrival if first is not None else next_number, delivery.traceparent, now)

    # -- gates open

    def after_entry(self, entry: BudgetEntry, known: Fact | None, partition: int, writes: StagedWrites) -> None:
        """Note a change of the ledger by `entry` (`known` is the fact before), which may open a gate of the agent."""
        agent = self._waiting.known(partition, entry.agent)
        if agent is None:
            return
        agent.due_at = 0.0
        if entry.kind in ("settle", "expire"):
            name, answered = step_name(entry.case_id, entry.step), entry.tokens > 0
            agent.ends(name, answered=answered, now=self._clock().timestamp())
        if entry.kind == "settle" and known is not None and known.state == "returned":
            self._waiting.drop(agent, known, writes)

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Start the steps that may go on, and give a person those that have waited for too long."""
        now = self._clock()
        for key in self._waiting.unsure.pop(partition, ()):
            self._emit_again(partition, key, writes)
        for agent in self._waiting.agents(partition, writes):
            agent.obey(self._control.halted(agent.agent), now.timestamp())
            if agent.is_due(now.timestamp()):
                self._pass_over(partition, agent, now, writes)

    def _pass_over(self, partition: int, agent: AgentQueue, now: datetime, writes: StagedWrites) -> None:
        for step in agent.overdue(now.timestamp()):
            self._escalate(partition, step, now, writes)
        going_on = admit(
            agent.queue, partial(self._judge.waiting, partition, agent, now), agent.next_probe(now.timestamp())
        )
        for step, fact in islice(going_on, ADMITTED_A_TICK):
            is_probe = fact.state in ("open", "settled") and agent.starts(
                step.needs, step_name(fact.case_id, fact.step)
            )
            self._go_on(partition, step, fact, writes, is_probe=is_probe)
        agent.looked_at, agent.due_at = now.timestamp(), agent.changes_at
        self._tell_spent(partition, agent, now, writes)
        measure(agent)

    def _tell_spent(self, partition: int, agent: AgentQueue, now: datetime, writes: StagedWrites) -> None:
        """Record when the reserved money for which the first steps wait has been spent, so that people are told."""
        for step in agent.queue.firsts():
            shut, row = agent.queue.shut_for(step.needs), self._waiting.row(partition, step.key)
            if shut is not None and shut.gate == "spent" and row.gate == "held":
                row = row.kept_by(shut)
                self._waiting.table.put(writes, row.key, row)
                writes.audit(audit_records.found_spent(row.case, row, row.traceparent, now))

    def _escalate(self, partition: int, step: WaitingStep, now: datetime, writes: StagedWrites) -> None:
        row = self._waiting.row(partition, step.key)
        self._go_on(partition, step, escalate_step(row.case, "waited", too_long(row), now), writes)

    def _go_on(
        self, partition: int, step: WaitingStep, fact: Fact, writes: StagedWrites, *, is_probe: bool = False
    ) -> None:
        row = self._waiting.row(partition, step.key)
        known, clock = self._accounts.fact_of(partition, row.case), self._waiting.of(partition, row.case.agent).clock
        paused_s = clock.stopped_for_s(row.stood_still_s, self._clock().timestamp())
        fact = fact.model_copy(update={"arrival": row.arrival, "is_probe": is_probe, "paused_s": paused_s})
        emit_resumed(row, fact, writes)
        self._accounts.remember(fact, known, writes)
        self._waiting.table.delete_after_emit(writes, step.key)

    def _emit_again(self, partition: int, key: str, writes: StagedWrites) -> None:
        """Emit the records of a step again, because the process that started it may have exited before it did."""
        row = self._waiting.row(partition, key)
        fact = self._accounts.fact_of(partition, row.case)
        assert fact is not None, "only a step with a fact is in `unsure`"
        if fact.returns == row.case.returns:
            emit_resumed(row, fact, writes)
        self._waiting.table.delete_after_emit(writes, key)
