"""The protections of the stages, each with the patch that takes it away and the moment in which it counts.

Here nothing needs a broker: a process that is gone is a bench whose tables the next one inherits. A patch changes one
stage, never the program, because other trials run beside it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from processors.ledger.lines import asking
from processors.playbook import RunStep
from schemas.records import Case, Decision, Reminder
from schemas.topics import ACT, BUDGET, DECIDE, LATER
from streams.ports import Performed
from streams.stages.act import Act
from streams.stages.budget import Budget
from streams.stages.decide import Decide
from tests.processors.examples import NOW, answer, case, compiled, event, reply
from tests.protections.trial import Ground, Trial
from tests.streams.stages.bench import Bench, Clock, Crash, Step, audited, in_force, order, said
from tests.streams.stages.test_decide import Model
from tests.streams.stages.world import World, decision

UNASKED = compiled(("approval: always", "approval: never"))
# A payment, and a second call behind it.
PAY_TWICE = compiled(
    ("approval: always", "approval: never"),
    ("irreversible: true}\n", "irreversible: true}\n    - {do: history, with: {customer: c}}\n"),
)
TWO_A_DAY = compiled(("per_day_usd: 25, per_case_usd: 0.50", "per_day_usd: 0.02, per_case_usd: 0.01"))
Patch = Callable[[Any], None]


class Dies(World):
    """The process is gone when a call of `at` has been made and not answered."""

    def __init__(self, at: str, before: World) -> None:
        super().__init__(once=("pay", "history"))
        self._at = at
        self.calls = before.calls

    async def perform(self, compiled: Any, step: RunStep, subject: str, traceparent: str) -> Performed:
        done = await super().perform(compiled, step, subject, traceparent)
        if step.handler == self._at:
            raise Crash
        return done


async def killed_in_the_call(patch: Patch) -> list[str]:
    """kill -9 while a payment is under way that takes no key."""
    return await _killed_at("pay", UNASKED, patch)


async def killed_in_the_second_call(patch: Patch) -> list[str]:
    """kill -9 in the second of two calls: the first was answered."""
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
    """kill -9 when a model's answer came, before the decision was said."""
    bought = Model(reply(answer("respond", text="one")))
    dead = _bench(Decide(in_force(UNASKED), bought, Clock()), patch, crash_after=2)
    await _until_gone(dead, case(UNASKED))
    again = Model(reply(answer("respond", text="another")))
    await _bench(Decide(in_force(UNASKED), again, Clock()), patch).inherit(dead).take(DECIDE, case(UNASKED))
    return [f"the answer was bought {1 + len(again.asked)} times"] if again.asked else []


async def killed_with_the_question(patch: Patch) -> list[str]:
    """kill -9 when a question was sent, before its answer came: it may have been paid."""

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
    control.obey(order("stop_all", "*", "*", reason="night"))
    changes = await _bench(Act(control, world, Clock()), patch).take(ACT, decision(case(UNASKED), text="tomorrow"))
    waits = said(changes, LATER, Reminder)
    return [f"after the order {', '.join(world.handlers)} was called"] if world.calls or not waits else []


async def asked_twice_for_money(patch: Patch) -> list[str]:
    """The same request for money is delivered twice, on a day that has room for two cases."""
    bench = _bench(Budget(in_force(TWO_A_DAY), Clock()), patch)
    first, second = (event().model_copy(update={"id": f"e-{number}"}) for number in range(2))
    for one in (first, first, second):
        changes = await bench.take(BUDGET, asking(case(TWO_A_DAY, one, reserved_microusd=0), NOW))
    return [] if said(changes, DECIDE, Case) else ["one case holds the money of two"]


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
    """A call is made without a record that it is going to be."""
    act._calls._actions.repeatable = lambda *_: True


def saved_outcomes(act: Any) -> None:
    """What came of a call is remembered when the playbook ends, and not before the next call."""

    async def later(_errand: Any) -> None:
        """Do not save."""

    act._progress.save = later


def recorded_reply(decide: Any) -> None:
    """An answer is used without a record of it."""
    _unrecorded(decide, "replied")


def recorded_question(decide: Any) -> None:
    """A model is asked without a record that it is going to be."""
    _unrecorded(decide, "asked")


def _unrecorded(decide: Any, state: str) -> None:
    record = decide._record

    async def others(attempt: Any, key: str, changes: Any) -> None:
        if attempt.state != state:
            await record(attempt, key, changes)
        elif state == "replied":
            await record(attempt.model_copy(update={"reply": None}), key, changes)

    decide._record = others


def order_before_the_call(act: Any) -> None:
    """Nobody asks for orders."""
    act._calls._check_orders = lambda *_: None


def fact_by_case(budget: Any) -> None:
    """Money is held for each request, and not for each case."""
    budget._read = lambda *_: None


def _trial(protection: Patch, scenario: Callable[[Patch], Coroutine[Any, Any, list[str]]]) -> Trial:
    def play(_ground: Ground, protected: bool) -> list[str]:
        return asyncio.run(scenario(_nothing if protected else protection))

    return Trial(protection.__name__, scenario.__name__, play)


def _nothing(_stage: Any) -> None:
    """Every protection is in place."""


TRIALS: tuple[Trial, ...] = (
    _trial(intent_record, killed_in_the_call),
    _trial(saved_outcomes, killed_in_the_second_call),
    _trial(recorded_reply, killed_with_the_answer),
    _trial(recorded_question, killed_with_the_question),
    _trial(order_before_the_call, stopped_while_it_waits),
    _trial(fact_by_case, asked_twice_for_money),
)
