"""The protections of the stages, each with the patch that removes it and the moment in which it matters.

These trials need no broker: a process that dies is a bench whose tables the next one inherits. A patch changes one
stage, never the program, because other trials run at the same time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any

from nightdesk.adapters import CharterActions, OutsideTopics
from nightdesk.effects.handlers.outbound import Connection
from nightdesk.processors.execution import BREAKER, advance
from nightdesk.processors.execution.commands import Command
from nightdesk.processors.execution.events import CallEnded, Event, OrdersConfirmed
from nightdesk.processors.ledger import Account
from nightdesk.processors.ledger.entries import reservation
from nightdesk.processors.playbook import RunStep, StepResult
from nightdesk.schemas.records import Case, Decision, Timer
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE, TIMERS
from nightdesk.streams.api import SteadyClock
from nightdesk.streams.confirmation import Confirmation, not_demanded
from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.decide import Decide
from nightdesk.streams.stages.execution import ExecutionTask
from tests.fakes.action_server import ActionServer, Conduct
from tests.processors.examples import NOW, answer, case, compiled, event, reply
from tests.protections.trial import Ground, Trial, substitute
from tests.streams.stages.stage_harness import Bench, Clock, Crash, Step, audited, in_force, order, said
from tests.streams.stages.test_decide import Model
from tests.streams.stages.test_reconcile import Bank
from tests.streams.stages.world import World, decision

UNASKED = compiled(("approval: always", "approval: never"))
# A payment, and a second call behind it.
PAY_TWICE = compiled(
    ("approval: always", "approval: never"),
    ("irreversible: true}\n", "irreversible: true}\n    - {do: history, with: {customer: c}}\n"),
)
PAY = "pay: {type: http, connection: desk, path: /refunds"
NEVER = ("approval: always", "approval: never")
NO_KEY = compiled(NEVER, (PAY, f"{PAY}, idempotent: none"))
ASKED = compiled(
    NEVER, (PAY, f"{PAY}, idempotent: none, reconcile: '/refunds/{{idempotency_key}}', settles_within: 2m")
)
TWO_A_DAY = compiled(("per_day_usd: 25, per_case_usd: 0.50", "per_day_usd: 0.02, per_case_usd: 0.01"))
Patch = Callable[[Any], None]


class Dies(World):
    """The process dies when a call of `at` has been made and not answered."""

    def __init__(self, at: str, before: World) -> None:
        super().__init__(once=("pay", "history"))
        self._at = at
        self.calls = before.calls

    async def perform(self, compiled: Any, step: RunStep, subject: str, traceparent: str) -> StepResult:
        done = await super().perform(compiled, step, subject, traceparent)
        if step.handler == self._at:
            raise Crash
        return done


async def killed_in_the_call(patch: Patch) -> list[str]:
    """kill -9 during a payment that takes no key."""
    return await _killed_at("pay", UNASKED, patch)


async def killed_in_the_second_call(patch: Patch) -> list[str]:
    """kill -9 during the second of two calls, after the first was answered."""
    return await _killed_at("history", PAY_TWICE, patch)


async def _killed_at(handler: str, charter: Any, patch: Patch) -> list[str]:
    world = World(once=("pay", "history"))
    refund = decision(case(charter), "refund", amount=50.0)
    dead = _bench(Act(in_force(charter), Dies(handler, world), Clock()), patch)
    await _until_gone(dead, refund)
    alive = _bench(Act(in_force(charter), world, Clock()), patch).inherit(dead)
    [ended] = audited(await alive.take(ACT, refund))
    twice = [f"{name} was called {n} times" for name in ("pay", "history") if (n := world.handlers.count(name)) > 1]
    first_is_known = charter is not PAY_TWICE or '"status":"done"' in ended.detail
    return twice if first_is_known else [*twice, "a payment that was answered is said to be unknown"]


async def killed_with_the_answer(patch: Patch) -> list[str]:
    """kill -9 when a model's answer arrived, before the decision was emitted."""
    bought = Model(reply(answer("respond", text="one")))
    dead = _bench(Decide(in_force(UNASKED), bought, Clock()), patch, crash_after=2)
    await _until_gone(dead, case(UNASKED))
    again = Model(reply(answer("respond", text="another")))
    await _bench(Decide(in_force(UNASKED), again, Clock()), patch).inherit(dead).take(DECIDE, case(UNASKED))
    return [f"the answer was bought {1 + len(again.asked)} times"] if again.asked else []


async def killed_with_the_question(patch: Patch) -> list[str]:
    """kill -9 when a question was sent, before its answer arrived: it may have been charged."""

    class Gone(Model):
        async def ask(self, *_question: Any) -> Any:
            raise Crash

    dead = _bench(Decide(in_force(UNASKED), Gone(), Clock()), patch)
    await _until_gone(dead, case(UNASKED))
    model = Model(reply(answer("respond", text="one"), cost_microusd=1000))
    alive = _bench(Decide(in_force(UNASKED), model, Clock()), patch).inherit(dead)
    [made] = said(await alive.take(DECIDE, case(UNASKED)), ACT, Decision)
    return ["a question that may have been paid is charged to nobody"] if made.cost_microusd == 1000 else []


async def stopped_while_it_waits(patch: Patch) -> list[str]:
    """`nightdesk stop-all` between the decision and the call."""
    control, world = in_force(UNASKED), World()
    control.apply(order("stop_all", "*", "*", reason="night"))
    await _bench(Act(control, world, Clock()), patch).take(ACT, decision(case(UNASKED), text="tomorrow"))
    return [f"after the order {', '.join(world.handlers)} was called"] if world.calls else []


async def stopped_unheard(patch: Patch) -> list[str]:
    """`nightdesk stop-all` reaches every worker but this one, which can read nothing more and does not know it."""
    unheard = Confirmation(within_s=5.0)
    unheard.confirm(boottime_s() - 60.0)
    world = World()
    act = Act(in_force(UNASKED, confirmation=unheard), world, Clock())
    under_way = asyncio.create_task(_bench(act, patch).take(ACT, decision(case(UNASKED), text="tomorrow")))
    await asyncio.wait([under_way], timeout=1.0)
    under_way.cancel()
    await asyncio.gather(under_way, return_exceptions=True)
    return [f"a minute after the last order was heard {', '.join(world.handlers)} was called"] if world.calls else []


async def asked_while_it_is_queued(patch: Patch) -> list[str]:
    """kill -9 during a payment that waits 45 s in the bank's queue; the bank can be asked, and does not know the
    payment yet.
    """
    clock = Clock()
    bank = Bank(clock, queued_s=45)
    bank.dies = True
    refund = decision(case(ASKED), "refund", amount=50.0)
    dead = _bench(Act(in_force(ASKED), bank, clock), patch)
    await _until_gone(dead, refund)
    bank.dies = False
    steady = SteadyClock("alive", lambda: clock().timestamp())
    alive = _bench(Act(in_force(ASKED), bank, clock, steady=steady), patch).inherit(dead)
    for offset in range(5):
        waits = said(await alive.take(ACT, refund, offset), TIMERS, Timer)
        if not waits:
            break
        clock.now = waits[0].due_at
    clock.forward(45)
    return [f"it was paid {len(bank.paid())} times"] if len(bank.paid()) != 1 else []


async def stood_still_before_the_call(patch: Patch) -> list[str]:
    """A worker is frozen for two minutes between its record of a payment and the payment: others may have asked
    meanwhile.
    """
    clock = Clock()
    bank = Bank(clock)

    class Stands(Step):
        def made(self) -> None:
            super().made()
            clock.forward(120 if self.steps == 1 else 0)

    bench = Bench(Act(in_force(ASKED), bank, clock), Stands())
    patch(bench.handlers)
    await bench.take(ACT, decision(case(ASKED), "refund", amount=50.0))
    return ["a payment that counts as never made is made"] if bank.due else []


async def answered_503_after_the_payment(patch: Patch) -> list[str]:
    """The other side pays, and a proxy answers 503; the call takes no key."""
    async with ActionServer(otherwise=Conduct(503, b""), honours_keys=False) as server:
        actions = CharterActions(
            {"desk": Connection(server.url, allow_private=True)}, OutsideTopics(frozenset(), {}, 1.0)
        )
        clock = Clock()
        bench = _bench(Act(in_force(NO_KEY), actions, clock), patch)
        for offset in range(4):
            waits = said(await bench.take(ACT, decision(case(NO_KEY), "refund", amount=5.0), offset), TIMERS, Timer)
            clock.now = waits[0].due_at if waits else clock.now
        await actions.close()
        paid = len(server.tally.effects)
    return [f"it was paid {paid} times"] if paid != 1 else []


async def told_to_stay_away_for_ever(patch: Patch) -> list[str]:
    """The other side asks three times not to be called for thirty years; an hour later nobody has called it again."""
    clock = Clock()
    outage = StepResult("failed", error="429", retryable=True, retry_after_seconds=1e9, answered=False)
    world = World(send=[outage] * BREAKER.failures_to_open)
    bench = _bench(Act(in_force(UNASKED), world, clock), patch)
    for number in range(BREAKER.failures_to_open):
        other = event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"})
        await bench.take(ACT, decision(case(UNASKED, other), text="tomorrow"), number)
    clock.forward(3_600)
    made = len(world.calls)
    await bench.take(ACT, decision(case(UNASKED), text="tomorrow"), 9)
    return ["the circuit is open for ever"] if len(world.calls) == made else []


async def claimed_a_fortune(patch: Patch) -> list[str]:
    """A provider claims that one answer cost a thousand million dollars."""
    bench = _bench(Budget(in_force(UNASKED), Clock()), patch)
    first, second = (event().model_copy(update={"id": f"e-{number}"}) for number in range(2))
    asks = reservation(case(UNASKED, first, reserved_microusd=0), NOW)
    await bench.take(BUDGET, asks)
    claim = {"kind": "settle", "amount_microusd": 10**15, "case": None, "entry_id": "claim"}
    await bench.take(BUDGET, asks.model_copy(update=claim))
    writes = await bench.take(BUDGET, reservation(case(UNASKED, second, reserved_microusd=0), NOW))
    return [] if said(writes, DECIDE, Case) else ["one answer ended the day"]


async def asked_twice_for_money(patch: Patch) -> list[str]:
    """The same reservation is delivered twice, on a day that has room for two cases."""
    bench = _bench(Budget(in_force(TWO_A_DAY), Clock()), patch)
    first, second = (event().model_copy(update={"id": f"e-{number}"}) for number in range(2))
    for one in (first, first, second):
        writes = await bench.take(BUDGET, reservation(case(TWO_A_DAY, one, reserved_microusd=0), NOW))
    return [] if said(writes, DECIDE, Case) else ["one case holds the money of two"]


def _bench(handlers: Any, patch: Patch, crash_after: int | None = None) -> Bench:
    bench = Bench(handlers, Step(crash_after))
    patch(handlers)
    return bench


async def _until_gone(bench: Bench, record: Any) -> None:
    topic = ACT if isinstance(record, Decision) else DECIDE
    try:
        await bench.take(topic, record)
    except Crash:
        return


# -- the patches


def intent_record(act: Any) -> None:
    """A call is made without a record before it."""
    actions = act._calls._actions
    policy = actions.policy
    substitute(actions, "policy", lambda *which: policy(*which)._replace(repeatable=True))


def saved_outcomes(act: Any) -> None:
    """The outcome of a call is stored when the playbook ends, and not before the next call."""

    async def later(_execution: Any) -> None:
        """Do not save."""

    act._progress.save = later


def recorded_reply(decide: Any) -> None:
    """An answer is used without a record of it."""
    _unrecorded(decide, "replied")


def recorded_question(decide: Any) -> None:
    """A model is asked without a record before it."""
    _unrecorded(decide, "asked")


def _unrecorded(decide: Any, state: str) -> None:
    questions = decide._questions
    record = questions._record

    async def others(attempt: Any, key: str, writes: Any) -> None:
        if attempt.state != state:
            await record(attempt, key, writes)
        elif state == "replied":
            await record(attempt.model_copy(update={"reply": None}), key, writes)

    questions._record = others


def order_before_the_call(act: Any) -> None:
    """Orders are not checked."""
    substitute(act._halted, "order_against", lambda *_: None)


def confirmed_orders(act: Any) -> None:
    """The orders that were read count as all that exist."""
    act._control.confirmation = not_demanded()


def time_to_settle(act: Any) -> None:
    """A call that the other side does not know yet counts as not made, as if it had been a day."""
    as_it_is = act._calls.advance

    def known_for_a_day(task: ExecutionTask, event: Event) -> Command:
        current = task.execution.current
        if isinstance(event, CallEnded) and event.result.absent and current is not None:
            long_ago = replace(event.ended_at, seconds=event.ended_at.seconds - 86_400)
            missed_at = {current.step.step_id: long_ago}
            state = task.execution.state.model_copy(update={"missed_at": missed_at})
            task.execution = task.execution.having(state=state)
        command: Command = as_it_is(task, event)
        return command

    act._calls.advance = known_for_a_day


def sent_soon(act: Any) -> None:
    """A call is made however long ago it was recorded."""

    def recorded(task: ExecutionTask, event: Event, now: datetime) -> datetime:
        recorded_at = task.execution.state.intents.values() if isinstance(event, OrdersConfirmed) else ()
        return next((at for at in recorded_at if at is not None), now)

    _at_another_time(act, recorded)


def _at_another_time(act: Any, told: Callable[[ExecutionTask, Event, datetime], datetime]) -> None:
    """The stage's transitions get another time than the clock's."""

    def advance_at(task: ExecutionTask, event: Event) -> Command:
        task.execution, command = advance(task.execution, event, told(task, event, act._clock()))
        return command

    act._calls.advance = advance_at


def doubt_of_statuses(act: Any) -> None:
    """A server that answers with an error has done nothing."""

    class Believing:
        def __init__(self, actions: Any) -> None:
            self._actions = actions

        def __getattr__(self, name: str) -> Any:
            return getattr(self._actions, name)

        async def perform(self, *call: Any) -> StepResult:
            done: StepResult = await self._actions.perform(*call)
            in_doubt = done.status == "unknown" and done.answered is not None
            return replace(done, status="failed", retryable=True) if in_doubt else done

    act._calls._actions = Believing(act._calls._actions)


def bounded_circuit(act: Any) -> None:
    """A circuit stays open for as long as the other side says."""
    act._calls._circuits._policy = BREAKER._replace(open_seconds_at_most=float("inf"))


def claim_within_what_was_held(budget: Any) -> None:
    """The provider's claimed cost counts."""
    account, counted = budget._accounts.of("desk"), Account()

    def replace_whole(before: Any, after: Any) -> None:
        counted.replace(
            *(
                one and one.model_copy(update={"corrected_microusd": one.spent_microusd or None})
                for one in (before, after)
            )
        )
        account.balances, account.admitted = counted.balances, counted.admitted

    account.replace = replace_whole


def fact_by_case(budget: Any) -> None:
    """Money is reserved for each request, and not for each case."""
    substitute(budget._accounts, "fact", lambda *_: None)


def of_a_stage(protection: Patch, scenario: Callable[[Patch], Coroutine[Any, Any, list[str]]]) -> Trial:
    def play(_ground: Ground, protected: bool) -> list[str]:
        return asyncio.run(scenario(_nothing if protected else protection))

    return Trial(protection.__name__, scenario.__name__, play)


def _nothing(_stage: Any) -> None:
    """Every protection is in place."""


TRIALS: tuple[Trial, ...] = (
    of_a_stage(intent_record, killed_in_the_call),
    of_a_stage(saved_outcomes, killed_in_the_second_call),
    of_a_stage(recorded_reply, killed_with_the_answer),
    of_a_stage(recorded_question, killed_with_the_question),
    of_a_stage(order_before_the_call, stopped_while_it_waits),
    of_a_stage(confirmed_orders, stopped_unheard),
    of_a_stage(fact_by_case, asked_twice_for_money),
    of_a_stage(time_to_settle, asked_while_it_is_queued),
    of_a_stage(sent_soon, stood_still_before_the_call),
    of_a_stage(doubt_of_statuses, answered_503_after_the_payment),
    of_a_stage(bounded_circuit, told_to_stay_away_for_ever),
    of_a_stage(claim_within_what_was_held, claimed_a_fortune),
)
