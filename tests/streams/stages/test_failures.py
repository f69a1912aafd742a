"""What fails goes to a person, or is a dead letter with everything that can be tried again; nobody is told twice."""

import logging
from collections.abc import Iterable

import orjson
import pytest
from prometheus_client import REGISTRY

from nightdesk.messaging.producer import Message
from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.deciding import decide
from nightdesk.processors.playbook import StepResult
from nightdesk.schemas import ids
from nightdesk.schemas.dead_letters import CONTEXT_HEADER
from nightdesk.schemas.records import Case, DeadLetter, Decision, Timer
from nightdesk.schemas.topics import ACT, DECIDE, TIMERS
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.act import Act
from tests.processors.examples import case, compiled
from tests.schemas.details import outcomes_of
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, Crash, Step, audited, in_force, said
from tests.streams.stages.world import BROKEN, World, decision

CHARTER = compiled()
RESPOND = decision(case(CHARTER), text="tomorrow")
LOST = StepResult("unknown", error="no answer")


def _bench(world: World, crash_after: int | None = None) -> Bench:
    return Bench(Act(in_force(CHARTER), world, Clock()), Step(crash_after))


def _on_the_dlq(writes: StagedWrites) -> list[Message]:
    return [message for message in writes.messages if message.topic == "t." + ACT.dlq]


def _letters(messages: Iterable[Message]) -> list[DeadLetter]:
    return [CODEC.decode(DeadLetter, dict(message.headers)[CONTEXT_HEADER]) for message in messages]


def _failed_undos() -> float:
    return REGISTRY.get_sample_value("nightdesk_undos_failed_total", {"agent": "desk", "handler": "unsend"}) or 0.0


async def test_an_undo_that_fails_is_a_dead_letter_and_an_alert(caplog: pytest.LogCaptureFixture) -> None:
    before = _failed_undos()
    writes = await _bench(World(note=[BROKEN], unsend=[BROKEN])).take(ACT, RESPOND, 7)
    [message] = _on_the_dlq(writes)
    [letter] = _letters([message])
    assert CODEC.decode(Decision, message.value) == RESPOND, "what was to be done, whole"
    assert message.key == RESPOND.subject.encode()
    assert (letter.error, letter.attempts, letter.offset) == ("UndoFailed", 1, 7)
    assert letter.message == "step 1 (note) failed: 400; not undone: unsend"
    assert [(record.kind, record.status) for record in audited(writes)] == [
        ("acted", "running"),
        ("dead_letter", "failed"),
    ]
    [handed_over] = said(writes, DECIDE, Case)
    assert handed_over.escalate_because == f"respond failed; {letter.message}", "a person gets the case all the same"
    assert '"status":"undo_failed"' in audited(writes)[0].detail
    assert _failed_undos() == before + 1
    assert [record.levelno for record in caplog.records if "not undone" in record.message] == [logging.ERROR]


async def test_what_was_taken_back_is_no_dead_letter() -> None:
    assert _on_the_dlq(await _bench(World(note=[BROKEN])).take(ACT, RESPOND)) == []


async def test_the_same_record_again_says_the_same_letter() -> None:
    world = World(note=[BROKEN], unsend=[BROKEN])
    bench = _bench(world)
    first, again = [_letters(_on_the_dlq(await bench.take(ACT, RESPOND))) for _ in range(2)]
    assert first == again
    assert world.handlers == ["send", "note", "unsend"], "and does nothing"


async def test_a_replay_of_the_letter_tries_the_undo_again_and_nothing_else() -> None:
    world = World(note=[BROKEN], unsend=[BROKEN])
    bench = _bench(world)
    first = await bench.take(ACT, RESPOND)
    [letter] = _letters(_on_the_dlq(first))
    replayed = await bench.take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    assert world.handlers == ["send", "note", "unsend", "unsend"]
    assert _on_the_dlq(replayed) == []
    [acted] = audited(replayed)
    assert '"status":"undone"' in acted.detail
    assert acted.record_id != audited(first)[0].record_id, "readers must not take it for the first"
    assert (len(said(first, DECIDE, Case)), said(replayed, DECIDE, Case)) == (1, []), "it was handed over before"
    again = await bench.take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    assert (world.handlers.count("unsend"), audited(again)) == (2, [acted])


async def test_a_replay_that_fails_again_is_the_next_letter() -> None:
    bench = _bench(World(note=[BROKEN], unsend=[BROKEN, BROKEN]))
    [first] = _letters(_on_the_dlq(await bench.take(ACT, RESPOND)))
    replayed = await bench.take(ACT, RESPOND, 1, replay_of=first.dead_letter_id)
    [second] = _letters(_on_the_dlq(replayed))
    assert (second.attempts, second.replay_of) == (2, first.dead_letter_id)
    assert second.dead_letter_id != first.dead_letter_id


async def test_a_replay_of_another_letter_changes_nothing() -> None:
    world = World(note=[BROKEN], unsend=[BROKEN])
    bench = _bench(world)
    await bench.take(ACT, RESPOND)
    for other in ("x", ids.decision_letter_id(RESPOND.decision_id, 1), ids.decision_letter_id("other", 0)):
        await bench.take(ACT, RESPOND, 1, replay_of=other)
    assert world.handlers.count("unsend") == 1


async def test_a_crash_in_the_midst_of_a_replay_loses_nothing_of_it() -> None:
    world = World(note=[BROKEN], unsend=[BROKEN])
    bench = _bench(world)
    [letter] = _letters(_on_the_dlq(await bench.take(ACT, RESPOND)))
    dying = _bench(world, crash_after=1).inherit(bench)
    with pytest.raises(Crash):
        await dying.take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    writes = await _bench(world).inherit(dying).take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    assert world.handlers.count("unsend") == 2
    assert '"status":"undone"' in audited(writes)[-1].detail


async def test_an_undo_that_may_have_happened_is_not_made_again_by_a_replay() -> None:
    world = World(once=("unsend",), note=[BROKEN], unsend=[LOST])
    bench = _bench(world)
    [letter] = _letters(_on_the_dlq(await bench.take(ACT, RESPOND)))
    replayed = await bench.take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    assert world.handlers.count("unsend") == 1
    assert len(_on_the_dlq(replayed)) == 1


# -- an action that fails

ESCALATE = "  escalate:\n    kind: escalate\n"
OPEN = ESCALATE + "    writes: true\n"
PAGE = '    - {do: page, with: {reason: "{{ decision.parameters.reason }}"}, irreversible: true}\n'
WAYS = (
    ("playbooks:\n", f"playbooks:\n  escalate:\n{PAGE}  mail:\n{PAGE.replace('page', 'mail')}"),
    ("handlers:\n", "handlers:\n  page: {type: http, connection: desk, path: /pages}\n  mail: {type: note}\n"),
)
MAIL = """\
  mail:
    kind: escalate
    writes: true
    parameters: {type: object, properties: {reason: {type: string, maxLength: 1000}, action: {type: string},
                 done: {type: array}, undone: {type: array}}, additionalProperties: false}
"""
BY_TWO_WAYS = compiled((ESCALATE, OPEN + "    otherwise: mail\n"), ("rules:\n", MAIL + "rules:\n"), *WAYS)


def _on_failure(how: str) -> CompiledCharter:
    return compiled(("    confidence: 0.75\n", f"    confidence: 0.75\n    on_failure: {how}\n"))


class Night:
    """The act stage, the decide stage's flow after it, and what the stages sent each other."""

    def __init__(self, charter: CompiledCharter, world: World) -> None:
        self.charter = charter
        self.world = world
        self.clock = Clock()
        self.bench = Bench(Act(in_force(charter), world, self.clock))
        self.letters: list[DeadLetter] = []
        self.decisions: list[Decision] = []
        self.offset = 0

    async def take(self, decided: Decision, replay_of: str | None = None) -> StagedWrites:
        """The decision, and whatever its case goes on with; gives the writes of the first."""
        self.offset += 1
        self.decisions.append(decided)
        first = await self.bench.take(ACT, decided, self.offset, replay_of)
        self.letters += _letters(_on_the_dlq(first))
        for following in said(first, DECIDE, Case):
            with pytest.raises(StopIteration) as end:
                next(decide(following, self.charter, self.clock()))
            await self.take(end.value.value)
        return first


async def test_an_action_that_fails_goes_to_a_person_with_what_was_done_of_it() -> None:
    night = Night(BY_TWO_WAYS, World(note=[BROKEN]))
    await night.take(decision(case(BY_TWO_WAYS), text="tomorrow"))
    handed_over = night.decisions[-1]
    assert (handed_over.action, handed_over.provider, handed_over.case.step) == ("escalate", "none", 1)
    reason = "respond failed; step 1 (note) failed: 400; undone: send"
    assert orjson.loads(handed_over.parameters) == {"reason": reason}
    assert night.world.handlers == ["send", "note", "unsend", "page"]
    assert night.letters == []


async def test_what_may_have_happened_goes_to_a_person_who_is_told_so_first() -> None:
    night = Night(BY_TWO_WAYS, World(send=[LOST]))
    await night.take(decision(case(BY_TWO_WAYS), text="tomorrow"))
    reason = orjson.loads(night.decisions[-1].parameters)["reason"]
    assert reason.startswith(
        "respond may have happened: look at the other system before you do it again; step 0 (send)"
    )
    assert night.world.handlers == ["send", "page"]


@pytest.mark.parametrize("end", [BROKEN, LOST])
async def test_a_hand_over_that_fails_takes_the_second_way_which_knows_what_was_done(end: StepResult) -> None:
    night = Night(BY_TWO_WAYS, World(note=[BROKEN], page=[end]))
    await night.take(decision(case(BY_TWO_WAYS), text="tomorrow"))
    first, second = night.decisions[-2:]
    assert [made.action for made in night.decisions] == ["respond", "escalate", "mail"]
    told = orjson.loads(second.parameters)
    assert (told["action"], told["done"], told["undone"]) == ("respond", [], ["send"])
    assert "step 0 (page)" in told["reason"]
    assert told["reason"].endswith(f"The case was escalated because: {first.reasoning}")
    assert night.world.handlers[-2:] == ["page", "mail"]
    assert night.letters == []


async def test_after_the_last_way_the_case_is_a_dead_letter_and_there_is_no_loop() -> None:
    night = Night(BY_TWO_WAYS, World(note=[BROKEN], page=[BROKEN], mail=[BROKEN]))
    await night.take(decision(case(BY_TWO_WAYS), text="tomorrow"))
    assert [made.action for made in night.decisions] == ["respond", "escalate", "mail"]
    [letter] = night.letters
    assert (letter.error, letter.attempted) == ("EscalationFailed", "escalating the case to a person")
    last = night.decisions[-1]
    await night.take(last, letter.dead_letter_id)
    assert night.world.handlers[-2:] == ["mail", "mail"], "a replay hands it over by that way"
    assert len({step_id for handler, step_id in night.world.calls if handler == "mail"}) == 2, "under a new key"
    assert len(night.letters) == 1
    await night.take(last, letter.dead_letter_id)
    assert night.world.handlers.count("mail") == 2, "and once"


async def test_without_an_escalation_what_fails_is_a_dead_letter_that_can_be_replayed() -> None:
    charter = compiled((ESCALATE, "  report:\n    kind: respond\n"))
    night = Night(charter, World(note=[BROKEN]))
    made = decision(case(charter), text="tomorrow")
    writes = await night.take(made)
    [letter] = night.letters
    assert (letter.error, letter.message) == ("ActionFailed", "step 1 (note) failed: 400; undone: send")
    assert audited(writes)[0].status == "failed"
    replayed = await night.take(made, letter.dead_letter_id)
    assert night.world.handlers == ["send", "note", "unsend", "send", "note"]
    sent = [step_id for handler, step_id in night.world.calls if handler == "send"]
    assert sent[0] != sent[1], "the old key stands for a response that was taken back"
    [acted] = audited(replayed)
    assert acted.status == "completed"
    assert [outcome.status for outcome in outcomes_of(acted)] == ["done", "failed", "undone", "done", "done"]


async def test_a_dead_letter_where_the_charter_wants_one_although_it_has_an_escalation() -> None:
    charter = _on_failure("dead_letter")
    night = Night(charter, World(note=[BROKEN]))
    await night.take(decision(case(charter), text="tomorrow"))
    assert ([letter.error for letter in night.letters], len(night.decisions)) == (["ActionFailed"], 1)


async def test_a_replay_of_what_may_have_happened_does_not_do_it_again() -> None:
    charter = _on_failure("dead_letter")
    night = Night(charter, World(once=("note",), note=[LOST]))
    made = decision(case(charter), text="tomorrow")
    await night.take(made)
    await night.take(made, night.letters[0].dead_letter_id)
    assert night.world.handlers == ["send", "note"], "nothing was undone, and nothing is repeated"
    assert [letter.error for letter in night.letters] == ["ActionFailed", "ActionFailed"]


async def test_nobody_replays_what_was_handed_over() -> None:
    night = Night(BY_TWO_WAYS, World(note=[BROKEN]))
    made = decision(case(BY_TWO_WAYS), text="tomorrow")
    await night.take(made)
    for letter_id in (ids.decision_letter_id(made.decision_id, 0), ids.decision_letter_id(made.decision_id, 1)):
        await night.take(made, letter_id)
    assert night.world.handlers == ["send", "note", "unsend", "page"]


async def test_an_action_is_tried_again_as_often_as_its_charter_says_and_then_a_person_gets_it() -> None:
    charter = _on_failure("retry\n    retry: {times: 2, every: 1h}")
    night = Night(charter, World(note=[BROKEN] * 3))
    made = decision(case(charter), text="tomorrow")
    for run in range(2):
        [timer] = said(await night.take(made), TIMERS, Timer)
        assert (timer.topic, (timer.due_at - night.clock()).total_seconds()) == ("act", 3600)
        assert night.world.handlers == ["send", "note", "unsend"] * (run + 1)
        [early] = said(await night.take(made), TIMERS, Timer)
        assert early.due_at == timer.due_at, "a redelivery does not shorten the pause"
        night.clock.forward(3600)
    writes = await night.take(made)
    assert night.world.handlers == ["send", "note", "unsend"] * 3
    [handed_over] = said(writes, DECIDE, Case)
    assert handed_over.escalate_because == "respond failed 3 times; step 1 (note) failed: 400; undone: send"
    assert len({step_id for handler, step_id in night.world.calls if handler == "send"}) == 3
    [acted] = audited(writes)
    assert [outcome.status for outcome in outcomes_of(acted)] == ["done", "failed", "undone"] * 3
    assert night.decisions[-1].case.spent.external_calls == 6, "of every run, undos too"


async def test_a_retry_that_succeeds_ends_like_any_other_action() -> None:
    charter = _on_failure("retry")
    night = Night(charter, World(note=[BROKEN]))
    made = decision(case(charter), text="tomorrow")
    await night.take(made)
    night.clock.forward(600)
    assert audited(await night.take(made))[0].status == "completed"


@pytest.mark.parametrize(("answer", "undo"), [(LOST, ()), (BROKEN, (BROKEN,))])
async def test_what_may_have_happened_or_is_not_undone_is_not_tried_again(
    answer: StepResult, undo: tuple[StepResult, ...]
) -> None:
    charter = _on_failure("retry")
    night = Night(charter, World(note=[answer], unsend=list(undo)))
    writes = await night.take(decision(case(charter), text="tomorrow"))
    assert said(writes, TIMERS, Timer) == []
    assert len(said(writes, DECIDE, Case)) == 1


async def test_a_crash_anywhere_on_the_way_hands_over_once() -> None:
    world = World(note=[BROKEN])
    dead = Night(BY_TWO_WAYS, world)
    made = decision(case(BY_TWO_WAYS), text="tomorrow")
    first = await dead.bench.take(ACT, made, 1)
    again = Night(BY_TWO_WAYS, world)
    again.bench.inherit(dead.bench)
    await again.take(made)
    await again.take(made)
    assert [case_.escalate_because for case_ in said(first, DECIDE, Case)] == [
        again.decisions[1].case.escalate_because
    ], "the same hand-over, whoever says it"
    assert world.handlers == ["send", "note", "unsend", "page"]
