"""A question is recorded before it is asked and its answer before it is used, so none is bought twice unnoticed."""

import asyncio
from collections.abc import Sequence

import pytest

from nightdesk.processors import prices, prompts
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable, WhyNot, stopped
from nightdesk.schemas.dead_letters import CONTEXT_HEADER
from nightdesk.schemas.records import BudgetEntry, Case, DeadLetter, Decision, Fallback
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.stages.decide import Decide
from nightdesk.streams.stages.questions import LOST_ANSWERS_AT_MOST, REPLIES_KEPT_S
from tests.processors.examples import CHARTER as CHARTER_TEXT
from tests.processors.examples import NOW, answer, case, compiled, event, reply
from tests.streams.stages.stage_harness import (
    CODEC,
    Bench,
    Clock,
    Crash,
    Step,
    audited,
    in_force,
    order,
    questioned,
    said,
    words,
)

CHARTER = compiled()
CASE = case(CHARTER)
WORST = prices.worst_ask_price_microusd(CHARTER.charter.decide.asked, prompts.build(CHARTER, CASE), NOW)
UNAVAILABLE = ModelUnavailable(
    reasons=(Fallback(provider="anthropic", reason="overloaded", detail="529", called=True),),
    unanswered_cost_microusd=70,
)


class Model:
    """Gives the prepared answers in turn, and counts."""

    def __init__(self, *answers: ModelReply | ModelUnavailable) -> None:
        self._answers = list(answers)
        self.asked: list[ModelRequest] = []

    async def ask(
        self, providers: Sequence[str], request: ModelRequest, agent: str, why_not: WhyNot
    ) -> ModelReply | ModelUnavailable:
        if reason := await why_not():
            return stopped(providers[0], reason)
        self.asked.append(request)
        return self._answers.pop(0)

    async def close(self) -> None:
        """Nothing is held."""


def _bench(model: Model, crash_after: int | None = None, clock: Clock | None = None) -> Bench:
    return Bench(Decide(in_force(CHARTER), model, clock or Clock()), Step(crash_after))


async def test_a_reply_becomes_a_decision_and_its_cost_is_settled() -> None:
    model = Model(reply(answer("respond", text="tomorrow"), cost_microusd=1000))
    writes = await _bench(model).take(DECIDE, CASE)
    [decision] = said(writes, ACT, Decision)
    assert (decision.action, decision.disposition, decision.cost_microusd) == ("respond", "execute", 1000)
    [settled] = said(writes, BUDGET, BudgetEntry)
    assert (settled.kind, settled.case_id, settled.amount_microusd) == ("settle", CASE.case_id, 1000)
    [record] = audited(writes)
    assert (record.kind, record.decision_id, record.status) == ("decided", decision.decision_id, "running")


@pytest.mark.parametrize("reason", ["not_configured", "circuit_open", "unknown_price"])
async def test_a_question_for_which_no_provider_was_called_is_no_model_call(reason: str) -> None:
    """Without an API key the rules decide, and neither the night nor a bound counts a question that nobody got."""
    none = ModelUnavailable(reasons=(Fallback(provider="anthropic", reason=reason),))
    bench = _bench(Model(none))
    writes = await bench.take(DECIDE, CASE)
    assert questioned(writes) == [], "no prompt is kept that nobody was sent"
    [decision] = said(writes, ACT, Decision)
    assert (decision.case.spent.model_calls, decision.cost_microusd) == (0, 0)
    again = _bench(Model(UNAVAILABLE))
    [asked] = said(await again.take(DECIDE, CASE), ACT, Decision)
    assert asked.case.spent.model_calls == 1


async def test_a_case_is_decided_as_soon_as_its_charter_is_known_here() -> None:
    control, model = Control(), Model(reply(answer("respond", text="tomorrow")))
    taken = asyncio.create_task(Bench(Decide(control, model, Clock())).take(DECIDE, CASE))
    await asyncio.sleep(0)
    assert not taken.done()
    key, version = f"{CHARTER.agent}/{CHARTER.version}", CHARTER.version
    control.apply(order("charter", CHARTER.agent, key, charter=CHARTER.charter.to_json(), charter_version=version))
    [decision] = said(await taken, ACT, Decision)
    assert decision.action == "respond"


async def test_every_step_is_settled_by_itself_with_its_task() -> None:
    bench = _bench(
        Model(reply(answer("look"), cost_microusd=900), reply(answer("respond", text="x"), cost_microusd=80))
    )
    writes = await bench.take(DECIDE, CASE.model_copy(update={"budget_day": "2026-11-19"}))
    [decision] = said(writes, ACT, Decision)
    assert decision.kind == "research"
    [first] = said(writes, BUDGET, BudgetEntry)
    assert (first.step, first.amount_microusd, first.tokens) == (0, 900, 115)
    assert (first.day, first.event_type, first.action) == ("2026-11-19", "ticket.created", "look")
    following = decision.case.model_copy(update={"step": 1, "reserved_microusd": 500_000})
    [second] = said(await bench.take(DECIDE, following), BUDGET, BudgetEntry)
    assert (second.step, second.amount_microusd, second.action) == (1, 80, "respond")
    assert second.entry_id != first.entry_id


async def test_a_step_never_costs_more_than_was_held_however_many_answers_are_lost() -> None:
    held = case(CHARTER, reserved_microusd=int(WORST * 1.5))
    dead = _bench(Model(), crash_after=1)
    with pytest.raises(Crash):
        await dead.take(DECIDE, held)
    model = Model()
    [decision] = said(await _bench(model).inherit(dead).take(DECIDE, held), ACT, Decision)
    assert (decision.provider, decision.cost_microusd, model.asked) == ("rules", WORST, [])


async def test_what_was_turned_down_was_spent_on_no_action() -> None:
    closed = CASE.model_copy(update={"closed_actions": ("respond",)})
    writes = await _bench(Model(reply(answer("respond", text="tomorrow"), cost_microusd=1000))).take(DECIDE, closed)
    [record] = audited(writes)
    assert record.action == "escalate"
    assert "money for respond is spent" in record.reason
    [settled] = said(writes, BUDGET, BudgetEntry)
    assert (settled.action, settled.amount_microusd) == ("escalate", 1000)


async def test_the_same_record_again_buys_nothing_and_says_the_same() -> None:
    model = Model(reply(answer("respond", text="tomorrow")))
    bench = _bench(model)
    first, again = await bench.take(DECIDE, CASE), await bench.take(DECIDE, CASE)
    assert words(first) == words(again)
    assert len(model.asked) == 1


async def test_a_new_process_uses_the_answer_that_was_recorded() -> None:
    dead = _bench(Model(reply(answer("respond", text="tomorrow"), cost_microusd=1000)), crash_after=2)
    with pytest.raises(Crash):
        await dead.take(DECIDE, CASE)
    model = Model()
    [decision] = said(await _bench(model).inherit(dead).take(DECIDE, CASE), ACT, Decision)
    assert (decision.action, decision.cost_microusd, model.asked) == ("respond", 1000, [])


async def test_a_question_that_may_have_been_paid_is_charged_at_its_worst_price() -> None:
    dead = _bench(Model(), crash_after=1)
    with pytest.raises(Crash):
        await dead.take(DECIDE, CASE)
    model = Model(reply(answer("respond", text="tomorrow"), cost_microusd=1000))
    writes = await _bench(model).inherit(dead).take(DECIDE, CASE)
    [decision] = said(writes, ACT, Decision)
    assert (len(model.asked), decision.cost_microusd) == (1, 1000 + WORST)
    assert [entry.amount_microusd for entry in said(writes, BUDGET, BudgetEntry)] == [1000 + WORST]


async def test_after_so_many_lost_answers_the_model_is_not_asked_again() -> None:
    bench = _bench(Model(), crash_after=1)
    for _ in range(LOST_ANSWERS_AT_MOST):
        with pytest.raises(Crash):
            await bench.take(DECIDE, CASE)
        bench = _bench(Model(), crash_after=1).inherit(bench)
    [decision] = said(await _bench(Model()).inherit(bench).take(DECIDE, CASE), ACT, Decision)
    assert decision.provider == "rules"
    assert decision.cost_microusd == LOST_ANSWERS_AT_MOST * WORST


async def test_without_a_model_the_rules_decide_and_it_is_said_why() -> None:
    model = Model(UNAVAILABLE)
    bench = _bench(model)
    first = await bench.take(DECIDE, CASE)
    [decision] = said(first, ACT, Decision)
    assert decision.provider == "rules"
    assert decision.fallbacks[0] == UNAVAILABLE.reasons[0]
    assert decision.cost_microusd == 70
    assert words(await bench.take(DECIDE, CASE)) == words(first)
    assert len(model.asked) == 1, "a failure is an answer as well"


async def test_each_question_of_a_step_and_each_step_has_an_answer_of_its_own() -> None:
    model = Model(reply("nonsense"), reply(answer("look")), reply(answer("respond", text="x")))
    bench = _bench(model)
    await bench.take(DECIDE, CASE)
    second = CASE.model_copy(update={"step": 1})
    [decision] = said(await bench.take(DECIDE, second), ACT, Decision)
    assert (len(model.asked), decision.action) == (3, "respond")
    assert len(bench.tables["replies"]) == 3


WITHOUT_ESCALATION = compiled((CHARTER_TEXT[CHARTER_TEXT.index("  escalate:\n") : CHARTER_TEXT.index("  look:\n")], ""))


@pytest.mark.parametrize(
    ("changes", "replies", "why", "cost"),
    [
        ({"escalate_because": "the money is spent"}, (), "the money is spent", 0),
        ({}, (reply(answer("look", confidence=0.1)),), "confidence 0.10 is below the 0.70 that look needs", 1000),
        ({}, (reply("nothing"), reply("nothing")), "no rule matched", 2000),
    ],
)
async def test_what_a_person_should_get_and_nobody_can_give_to_one_is_a_dead_letter_of_its_own(
    changes: dict[str, str], replies: tuple[ModelReply, ...], why: str, cost: int
) -> None:
    received = case(WITHOUT_ESCALATION, event("hello")).model_copy(update=changes)
    bench = Bench(Decide(in_force(WITHOUT_ESCALATION), Model(*replies), Clock()))
    writes = await bench.take(DECIDE, received, offset=7)
    [message] = [message for message in writes.messages if message.topic == "t." + DECIDE.dlq]
    letter = CODEC.decode(DeadLetter, dict(message.headers)[CONTEXT_HEADER])
    assert CODEC.decode(Case, message.value) == received
    assert (letter.error, letter.stage, letter.offset, letter.attempts) == ("NoEscalation", "decide", 7, 1)
    assert why in letter.message
    assert [(record.kind, record.status) for record in audited(writes)] == [
        ("decided", "failed"),
        ("dead_letter", "failed"),
    ]
    assert said(writes, ACT, Decision) == []
    entries = said(writes, BUDGET, BudgetEntry)
    assert [(entry.kind, entry.amount_microusd) for entry in entries if entry.kind == "settle"] in (
        [],
        [("settle", cost)],
    )
    assert [entry.failed for entry in entries if entry.kind == "ended"] == [True]


async def test_a_replay_of_such_a_letter_is_the_next_letter() -> None:
    received = case(WITHOUT_ESCALATION).model_copy(update={"escalate_because": "the money is spent"})
    bench = Bench(Decide(in_force(WITHOUT_ESCALATION), Model(), Clock()))

    def letter(writes: StagedWrites) -> DeadLetter:
        [message] = [message for message in writes.messages if message.topic == "t." + DECIDE.dlq]
        return CODEC.decode(DeadLetter, dict(message.headers)[CONTEXT_HEADER])

    first, again = [letter(await bench.take(DECIDE, received)) for _ in range(2)]
    assert first == again, "a redelivery"
    replayed = letter(await bench.take(DECIDE, received, replay_of=first.dead_letter_id))
    assert replayed.replay_of == first.dead_letter_id != replayed.dead_letter_id


async def test_a_refused_decision_goes_nowhere_and_is_settled() -> None:
    asks_much = event(text="refund!", amount=500)
    model = Model(*(reply(answer("refund", amount=500.0)) for _ in range(3)))
    writes = await _bench(model).take(DECIDE, case(CHARTER, asks_much))
    assert said(writes, ACT, Decision) == []
    [record] = audited(writes)
    assert (record.status, record.disposition) == ("refused", "refused")
    assert "no refund over 100" in record.reason
    assert len(said(writes, BUDGET, BudgetEntry)) == 1


async def test_where_no_model_is_asked_nothing_is_settled() -> None:
    for_a_person = CASE.model_copy(update={"reserved_microusd": 0, "escalate_because": "the money is spent"})
    writes = await _bench(Model()).take(DECIDE, for_a_person)
    assert said(writes, BUDGET, BudgetEntry) == []
    assert said(writes, DECIDE, Case) == []


async def test_answers_are_forgotten_when_nobody_can_ask_for_them_again() -> None:
    clock = Clock()
    bench = _bench(Model(reply(answer("look"))), clock=clock)
    await bench.take(DECIDE, CASE)
    clock.forward(REPLIES_KEPT_S + 1)
    bench.tick()
    assert len(bench.tables["replies"]) == 0


async def test_who_does_not_own_the_partition_any_more_asks_nobody_and_its_question_stays_charged() -> None:
    model = Model()
    former = _bench(model)
    former.step.owner = False
    with pytest.raises(Crash):
        await former.take(DECIDE, CASE)
    assert model.asked == []
    heir = Model(reply(answer("respond", text="x"), cost_microusd=1000))
    [made] = said(await _bench(heir).inherit(former).take(DECIDE, CASE), ACT, Decision)
    assert made.cost_microusd == WORST + 1000
