"""The transition table against a model of the outside: crashes, orders, outages, lost answers and limits in any order.

The model has what a crash leaves (`durable`) and what really happened outside (`happened`). It performs the table's
commands as the act stage does. The test fails for a call that has an effect twice, an intent that is not durable, a
call after an order or without its grants, and an outcome that is not true.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nightdesk.processors import playbook
from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.execution import (
    Execution,
    ExecutionState,
    Phase,
    RateGrant,
    StepPolicy,
    StepRun,
    advance,
    begin,
)
from nightdesk.processors.execution.commands import (
    Command,
    Conclude,
    ConfirmOrders,
    Continue,
    Hold,
    MakeCall,
    RequestGrant,
    RunPlaybook,
    Save,
    TakeSlot,
    WaitForOrder,
    WaitForTimer,
)
from nightdesk.processors.execution.events import (
    ApprovalRead,
    CallEnded,
    CircuitShut,
    DecisionRead,
    Event,
    GrantRead,
    Known,
    OrdersConfirmed,
    PlaybookEnded,
    Saved,
    SlotRefused,
    SlotTaken,
    StepDue,
)
from nightdesk.processors.playbook import Ending, Progress, RunStep, StepResult
from nightdesk.processors.playbook.absence import Moment
from nightdesk.processors.quantities import Rate
from nightdesk.schemas.records import ControlCommand, RateRequest, StepOutcome
from tests.effort import examples
from tests.processors.examples import NOW, case, compiled
from tests.streams.stages.world import decision

SETTLES_S = 120
STEPS = (
    '    - {do: send, with: {text: "{{ decision.parameters.text }}"}, undo: unsend}\n',
    "    - {do: pay, with: {amount: 1}, irreversible: true}\n",
    "    - {do: wire, with: {amount: 2}, irreversible: true}\n",
    "    - {do: look, with: {q: 1}}\n",
)
HANDLERS = """\
  pay: {type: http, connection: desk, path: /refunds, idempotent: none}
  look: {type: http, connection: desk, method: GET, path: /look, read_only: true}
  wire: {type: http, connection: desk, path: /wires, idempotent: none, reconcile: '/wires/{idempotency_key}',
         settles_within: 120s}
"""
EXAMPLE = (
    '    - {do: send, with: {text: "{{ decision.parameters.text }}"}, undo: unsend, as: reply}\n'
    '    - {do: note, with: {reply: "{{ steps.reply.id }}"}}\n'
)


def charter(first: int, *changes: tuple[str, str]) -> CompiledCharter:
    """The four steps, beginning with a different one each time, so that each is reached often."""
    return compiled(
        ("    confidence: 0.75\n", "    confidence: 0.75\n    writes: true\n"),
        (EXAMPLE, "".join((*STEPS[first:], *STEPS[:first]))),
        ("  pay: {type: http, connection: desk, path: /refunds}\n", HANDLERS),
        *changes,
    )


FREE = [charter(first) for first in range(len(STEPS))]
LIMIT = ("limits: {per_subject: 5/1h}", "limits: {actions: {respond: 3/1h}}")
LIMITED = [charter(first, LIMIT) for first in range(len(STEPS))]
STOP = ControlCommand(key="*", kind="stop_all", agent="*", reason="night", issued_by="ops", time=NOW)
RETRIES = 2
LOST = ("never", "at once", "late")
FATES = (*LOST, "busy", "nowhere", "away")
ANSWERS = ("done", "done", "busy", "busy", "broken", "nowhere", "nowhere", "away")

DONE = StepResult("done", '{"id":"1"}', answered=True)
BUSY = StepResult("failed", error="503", retryable=True, answered=True)
BROKEN = StepResult("failed", error="400", answered=True)
NOWHERE = StepResult("failed", error="no connection", retryable=True, answered=False)
MAYBE = StepResult("unknown", error="it was begun, and nobody knows how it ended")
ABSENT = StepResult("unknown", error="404", answered=True, absent=True)


def lost(step: RunStep, policy: StepPolicy) -> StepResult:
    """No answer: the call can be repeated if that is safe, or if the other side can be asked."""
    can_go_on = policy.repeatable or step.handler == "wire"
    return StepResult("unknown", error="no answer", retryable=can_go_on, answered=False)


class Outside(RuleBasedStateMachine):
    """`command` is the table's last command; None if no record is being handled."""

    @initialize(first=st.sampled_from([0, 1, 2, 2, 3]), limited=st.booleans(), connection_limited=st.booleans())
    def begins(self, first: int, limited: bool, connection_limited: bool) -> None:
        self.compiled = (LIMITED if limited else FREE)[first]
        self.rate = Rate(count=2, per_seconds=1) if connection_limited else None
        self.decision = decision(case(self.compiled), text="tomorrow")
        self.now = NOW  # as the workers' clocks say
        self.true_now = NOW
        self.durable = ExecutionState(at=NOW)
        self.execution: Execution | None = None
        self.command: Command | None = None
        self.event: Event | None = None
        self.asked: RateRequest | None = None
        self.granted: RateRequest | None = None
        self.ending: Ending | None = None
        self.happened: Counter[str] = Counter()
        self.open_calls: set[str] = set()  # may have happened, and nobody has heard how they ended
        self.died_in: set[str] = set()  # a process ended before the outcome of their call was durable
        self.processes = 0
        self.late: dict[str, datetime] = {}  # calls that the other side has not come to yet
        self.busy: Counter[str] = Counter()
        self.is_held = False

    # -- the stage's part

    def _feed(self, event: Event) -> None:
        assert self.execution is not None
        self.event = event
        self.execution, self.command = advance(self.execution, event, self.now)
        while isinstance(self.command, RunPlaybook | Continue):
            following = self._play(self.command)
            self.execution, self.command = advance(self.execution, following, self.now)
        if isinstance(self.command, TakeSlot):
            grant, rate = self.command.grant, self.command.use.rate
            assert self.now - grant.slot_at <= timedelta(seconds=max(60, rate.per_seconds)), "an old grant is no grant"
        if isinstance(self.command, Hold):
            self._hold()
        if isinstance(self.command, WaitForTimer | WaitForOrder | RequestGrant | Conclude):
            self._left(self.command)

    def _play(self, command: RunPlaybook | Continue) -> Event:
        assert self.execution is not None
        try:
            if isinstance(command, RunPlaybook):
                state = self.execution.state
                known = Progress(state.outcomes, tuple(state.intents), state.runs, state.earlier, state.called_ms)
                self.flow = playbook.run(self.execution.decision, self.compiled, known, state.at)
                step = next(self.flow)
            else:
                step = self.flow.send(command.outcome)
        except StopIteration as end:
            return PlaybookEnded(end.value)
        handler: Any = self.compiled.charter.handlers[step.handler]
        return StepDue(step, StepPolicy(handler, handler.repeatable, RETRIES, self.rate))

    def _hold(self) -> None:
        """A person is asked whether to do what has become old. The table of approvals has the decision then."""
        assert not self.durable.outcomes, "what was begun is finished"
        assert self.durable.approved_by is None, "nobody is asked twice"
        self.is_held, self.execution, self.command = True, None, None

    def _left(self, command: WaitForTimer | WaitForOrder | RequestGrant | Conclude) -> None:
        assert self.execution is not None
        assert self.execution.phase is Phase.LEFT
        assert self.execution.state.payload_sha256 == self.execution.payload_sha256
        self._remember()
        if isinstance(command, RequestGrant):
            self.asked = command.request
        if isinstance(command, WaitForTimer):
            assert command.after_s > 0
        if isinstance(command, Conclude):
            assert self.ending in (None, command.ending), "another ending than before"
            self.ending = command.ending
            self._check_truth(command.ending.outcomes)
        self.execution = self.command = None

    def _remember(self) -> None:
        assert self.execution is not None
        known, before = self.execution.state.outcomes, self.durable.outcomes
        assert known[: len(before)] == before, "what is recorded stays"
        self.durable = ExecutionState.model_validate_json(self.execution.state.model_dump_json())

    def _die(self) -> None:
        assert self.execution is not None
        known = {outcome.step_id for outcome in self.durable.outcomes}
        self.died_in |= {outcome.step_id for outcome in self.execution.state.outcomes} - known
        self.execution = self.command = None
        self.processes += 1

    @property
    def is_in_hand(self) -> bool:
        return self.execution is not None

    @property
    def current(self) -> StepRun:
        assert self.execution is not None
        assert self.execution.current is not None
        return self.execution.current

    # -- records

    @precondition(lambda self: self.execution is None)
    @rule()
    def the_decision_is_read(self) -> None:
        calls = sum(self.happened.values())
        self.execution = begin(self.decision, self.compiled, self.durable.as_of(self.now))
        self._feed(DecisionRead())
        if self.ending is not None:
            assert not self.is_in_hand, "what has ended is not done again"
            assert sum(self.happened.values()) == calls

    @precondition(lambda self: self.execution is None and self.asked is not None)
    @rule()
    def its_grant_is_read(self) -> None:
        assert self.asked is not None
        grant = RateGrant(number=self.asked.number, slot_at=self.now)
        self.granted = self.asked
        self.execution = begin(self.asked.decision, self.compiled, self.durable.as_of(self.now))
        self._feed(GrantRead(Known(), self.asked.purpose, grant))

    @precondition(lambda self: self.execution is None and self.is_held)
    @rule()
    def a_person_approves(self) -> None:
        self.is_held = False
        self.execution = begin(self.decision, self.compiled, self.durable.as_of(self.now))
        self._feed(ApprovalRead("ada"))

    @rule(seconds=st.sampled_from([1, 10, 30, SETTLES_S, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.true_now += timedelta(seconds=seconds)
        for step_id in [step_id for step_id, at in self.late.items() if at <= self.true_now]:
            del self.late[step_id]
            self.happened[step_id] += 1

    @rule(seconds=st.sampled_from([5, 200]))
    def the_clock_is_put_back(self, seconds: int) -> None:
        if self.execution is None:
            self.now -= timedelta(seconds=seconds)

    @precondition(lambda self: not isinstance(self.command, MakeCall))
    @rule(until=st.sampled_from([MakeCall, MakeCall, MakeCall, Save]))
    def all_goes_well(self, until: type) -> None:
        if self.execution is None:
            self.the_decision_is_read()
        while self.command is not None and not isinstance(self.command, MakeCall | until):
            match self.command:
                case ConfirmOrders():
                    self._feed(OrdersConfirmed())
                case TakeSlot():
                    self._feed(SlotTaken())
                case Save():
                    self.it_is_saved()
                case other:
                    raise AssertionError(f"nobody performs {other}")
            if self.execution is None and self.asked is not None and self.granted != self.asked:
                self.its_grant_is_read()

    @precondition(lambda self: self.execution is not None)
    @rule()
    def the_process_dies(self) -> None:
        self._die()

    # -- what came of a command

    @precondition(lambda self: isinstance(self.command, ConfirmOrders))
    @rule(shut_for_s=st.sampled_from([0.0, 0.0, 0.0, 15.0]))
    def no_order_stands(self, shut_for_s: float) -> None:
        assert self.execution is not None
        waits = self.execution.state.waits
        self._feed(OrdersConfirmed(None, shut_for_s))
        if shut_for_s:
            assert not self.is_in_hand
            assert self.durable.waits == waits + 1

    @precondition(lambda self: isinstance(self.command, ConfirmOrders))
    @rule()
    def an_order_stands(self) -> None:
        assert self.execution is not None
        step, halts = self.current.step, self.execution.state.halts
        self._feed(OrdersConfirmed(STOP))
        assert (self.is_in_hand, self.durable.halts) == (False, halts + 1)
        assert (step.step_id in self.durable.intents) == step.begun, "what was not sent is no open question"

    def _waits_of(self, event: Event) -> float:
        assert self.execution is not None
        _, command = advance(self.execution, event, self.now)
        assert isinstance(command, WaitForTimer)
        self._feed(event)
        return command.after_s

    @precondition(lambda self: isinstance(self.command, Save))
    @rule()
    def it_is_saved(self) -> None:
        self._remember()
        self._feed(Saved())

    @precondition(lambda self: isinstance(self.command, Save))
    @rule()
    def an_order_comes_while_it_is_saved(self) -> None:
        self.it_is_saved()
        self.an_order_stands()

    @precondition(lambda self: isinstance(self.command, Save))
    @rule()
    def the_process_dies_when_it_is_saved(self) -> None:
        self._remember()
        self._die()

    @precondition(lambda self: isinstance(self.command, TakeSlot))
    @rule(is_free=st.booleans())
    def a_slot(self, is_free: bool) -> None:
        self._feed(SlotTaken() if is_free else SlotRefused(0.5))

    # -- calls

    @precondition(lambda self: isinstance(self.command, MakeCall))
    @rule()
    def another_call_finds_out(self) -> None:
        self._feed(CircuitShut(15.0))

    @precondition(lambda self: isinstance(self.command, MakeCall))
    @rule(does=st.booleans())
    def the_process_dies_in_the_call(self, does: bool) -> None:
        if not self._only_asks():
            self._send(does)
            self.died_in.add(self.current.step.step_id)
            self.open_calls.add(self.current.step.step_id)
        self._die()

    @precondition(lambda self: isinstance(self.command, MakeCall))
    @rule(answer=st.sampled_from(ANSWERS))
    def the_call_ends(self, answer: str) -> None:
        step = self.current.step
        if self._only_asks():
            self._feed(CallEnded(self._answer_about(step), self.steady))
            return
        was_done = self.happened[step.step_id] > 0
        self._send(answer == "done")
        if answer in ("nowhere", "away"):
            self._feed(CallEnded(NOWHERE, self.steady, answer == "away", 15.0 if answer == "away" else 0.0))
        elif answer == "done" or was_done:  # by its key the other side knows it
            self.open_calls.discard(step.step_id)
            self._feed(CallEnded(DONE, self.steady))
        else:
            self.busy[step.step_id] += answer == "busy"
            self._feed(CallEnded(BUSY if answer == "busy" else BROKEN, self.steady))

    @precondition(lambda self: isinstance(self.command, MakeCall) and not self._only_asks())
    @rule(does=st.sampled_from(LOST))
    def the_answer_is_lost(self, does: str) -> None:
        step, policy = self.current.step, self.current.policy
        self._send(does == "at once")
        if does == "late" and not policy.repeatable:
            self.late[step.step_id] = self.true_now + timedelta(seconds=SETTLES_S - 1)
        self.open_calls.add(step.step_id)
        self._feed(CallEnded(lost(step, policy), self.steady))

    @precondition(lambda self: isinstance(self.command, MakeCall))
    @rule(first=st.sampled_from(FATES), then=st.sampled_from(FATES), times=st.integers(1, 5))
    def it_is_tried_again_and_again(self, first: str, then: str, times: int) -> None:
        step_id = self.current.step.step_id
        for fate in (first, *[then] * times):
            if not isinstance(self.command, MakeCall) or self.current.step.step_id != step_id:
                return
            if fate in LOST and not self._only_asks():
                self.the_answer_is_lost(fate)
            else:
                self.the_call_ends(fate)
            self._go_on()

    def _go_on(self) -> None:
        if not isinstance(self.command, MakeCall):
            self.all_goes_well(MakeCall)

    @property
    def steady(self) -> Moment:
        return Moment(f"process {self.processes}", (self.true_now - NOW).total_seconds())

    def _only_asks(self) -> bool:
        """A call that may have happened and cannot be repeated is not made: the other side is asked, if it can be."""
        return self.current.step.begun and not self.current.policy.repeatable

    def _answer_about(self, step: RunStep) -> StepResult:
        if step.handler != "wire":
            return MAYBE
        return DONE if self.happened[step.step_id] else ABSENT

    def _send(self, does: bool) -> None:
        step, policy = self.current.step, self.current.policy
        if policy.repeatable:
            self.happened[step.step_id] = self.happened[step.step_id] or int(does)
            return
        assert not self.happened[step.step_id], f"{step.handler} is done twice"
        assert step.step_id not in self.late, f"{step.handler} is sent again, and the first may still come"
        if step.handler == "pay":
            assert step.step_id not in self.open_calls, "nobody knows how the first call ended"
        self.happened[step.step_id] += does

    def _check_truth(self, outcomes: tuple[StepOutcome, ...]) -> None:
        for outcome in outcomes:
            if outcome.status == "done":
                assert self.happened[outcome.step_id] == 1
            # A call under a key that a process died in is made again without a record, and then may find nobody there.
            is_known = outcome.handler in ("pay", "wire") or outcome.step_id not in self.died_in
            if outcome.status == "failed" and is_known and outcome.handler != "look":
                assert self.happened[outcome.step_id] == 0
                assert outcome.step_id not in self.late

    # -- what holds before a call

    @invariant()
    def a_call_begins_directly_after_its_orders_and_lacks_nothing(self) -> None:
        if not isinstance(self.command, MakeCall):
            return
        assert self.execution is not None
        step, policy, state = self.current.step, self.current.policy, self.execution.state
        assert self.event == OrdersConfirmed()
        assert self.current.uses == ()
        assert state is self.execution.saved
        assert step.step_id not in {outcome.step_id for outcome in self.durable.outcomes}
        if not policy.repeatable:
            assert step.step_id in self.durable.intents, "the intent is durable"
        if self.compiled in LIMITED and not step.undo:
            assert self.decision.decision_id in state.grants
        if self.rate is not None:
            assert any(grant.used for grant in state.grants.values()), "a grant is used up by this call"
            assert state.grants == self.durable.grants, "and a crash does not bring it back"

    @invariant()
    def no_step_is_tried_more_often_than_its_charter_says(self) -> None:
        assert all(count <= RETRIES for count in self.durable.attempts.values())
        assert all(count <= RETRIES + 1 for count in self.busy.values())

    @invariant()
    def no_moment_is_still_to_come(self) -> None:
        if self.execution is not None:
            moments: list[datetime | None] = list(self.execution.saved.intents.values())
            assert all(at is None or at <= self.now for at in moments)


TestOutside = Outside.TestCase
TestOutside.settings = settings(max_examples=examples(200), deadline=None)
