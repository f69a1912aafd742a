"""What a playbook comes to, as tables and as properties over every way its steps can end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import playbook
from processors.charter.compiled import CompiledCharter, compile_charter
from processors.charter.model import Charter
from processors.playbook import Ending, IllegalOutcome, Progress, RunStep
from schemas import ids
from schemas.records import BudgetEntry, Case, Decision, Event, Spent, StepOutcome

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
Answer = Callable[[RunStep], StepOutcome]

HTTP = {"type": "http", "connection": "helpdesk", "path": "/things"}
HANDLERS: dict[str, Any] = {
    "send": HTTP,
    "retract": HTTP,
    "look": {**HTTP, "method": "GET", "read_only": True},
    "remind": {"type": "remind"},
    "note": {"type": "note"},
}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}, "after": {"type": "string"}}}


def charter(steps: Sequence[Mapping[str, Any]], *, kind: str = "respond", **more: Any) -> CompiledCharter:
    action: dict[str, Any] = {"kind": kind, "parameters": TEXT, "writes": True, **more.pop("action", {})}
    return compile_charter(
        Charter.model_validate(
            {
                "agent": "support",
                "on": [{"type": "ticket.created"}],
                "decide": {"provider": "rules"},
                "actions": {"do": action, "hand_over": {"kind": "escalate"}},
                "fallback": [{"action": "do"}],
                "playbooks": {"do": list(steps)},
                "handlers": HANDLERS,
                "mode": "live",
                **more,
            }
        )
    )


def decision(**changes: Any) -> Decision:
    case_id = ids.case_id("support", "tests", "event-1")
    event = Event(id="event-1", source="tests", type="ticket.created", subject="ticket-1", time=NOW, data='{"n": 1}')
    case = Case(case_id=case_id, agent="support", charter_version="1", event=event, received_at=NOW)
    case = case.model_copy(update=changes.pop("case", {}))
    made = Decision(
        decision_id=ids.decision_id(case_id, case.step),
        case=case,
        action="do",
        kind="respond",
        confidence=1.0,
        parameters='{"text": "hello"}',
        reasoning="because",
        provider="rules",
        disposition="execute",
        decided_at=NOW,
    )
    return made.model_copy(update=changes)


def done(step: RunStep) -> StepOutcome:
    return step.outcome("done", started_at=NOW, latency_ms=1, result=orjson.dumps({"id": step.step_id}).decode())


def failing_at(*positions: int, status: Any = "failed") -> Answer:
    def answer(step: RunStep) -> StepOutcome:
        if step.position in positions and not step.undo:
            return step.outcome(status, started_at=NOW, latency_ms=1, error="no")
        return done(step)

    return answer


def drive(
    made: Decision,
    compiled: CompiledCharter,
    answer: Answer = done,
    progress: Progress = Progress(),  # noqa: B008 - frozen
    now: datetime = NOW,
) -> tuple[list[RunStep], Ending]:
    """Perform the playbook; the steps that were asked for, and the ending."""
    flow = playbook.run(made, compiled, progress, now)
    asked: list[RunStep] = []
    try:
        step = next(flow)
        while True:
            asked.append(step)
            step = flow.send(answer(step))
    except StopIteration as stop:
        ending: Ending = stop.value
        return asked, ending


def statuses(ending: Ending) -> list[tuple[int, str]]:
    return [(outcome.position, outcome.status) for outcome in ending.outcomes]


SENDS = [
    {"do": "send", "with": {"ticket": "{{ event.subject }}", "text": "{{ decision.parameters.text }}"}, "as": "sent",
     "undo": {"do": "retract", "with": {"reply": "{{ result.id }}"}}},
    {"do": "look", "with": {"n": "{{ event.data.n }}", "reply": "{{ steps.sent.id }}"}},
    {"do": "send", "with": {"text": "second"}, "undo": "retract"},
]  # fmt: skip


def test_steps_run_in_order_with_what_earlier_ones_gave() -> None:
    made = decision()
    asked, ending = drive(made, charter(SENDS))
    first = ids.step_id(made.decision_id, 0)
    assert [step.handler for step in asked] == ["send", "look", "send"]
    assert [step.request for step in asked] == [
        {"ticket": "ticket-1", "text": "hello"},
        {"n": 1, "reply": first},
        {"text": "second"},
    ]
    assert [step.step_id for step in asked] == [ids.step_id(made.decision_id, position) for position in range(3)]
    assert (ending.status, statuses(ending)) == ("completed", [(0, "done"), (1, "done"), (2, "done")])


def test_an_action_without_a_playbook_is_completed() -> None:
    assert drive(decision(), charter([]))[1] == Ending("completed", ())


def test_a_failed_step_sends_the_done_ones_back_with_their_results() -> None:
    made = decision()
    asked, ending = drive(made, charter(SENDS), failing_at(2))
    back = asked[-1]
    assert (back.handler, back.undo, back.request) == ("retract", True, {"reply": ids.step_id(made.decision_id, 0)})
    assert back.step_id == ids.undo_id(ids.step_id(made.decision_id, 0))
    assert statuses(ending) == [(0, "done"), (1, "done"), (2, "failed"), (0, "undone")]
    assert (ending.status, ending.reason) == ("failed", "step 2 (send) failed: no")


def test_an_undo_without_values_gets_what_the_step_got() -> None:
    steps = [{"do": "send", "with": {"text": "{{ decision.parameters.text }}"}, "undo": "retract"}, SENDS[1]]
    asked, _ = drive(decision(), charter([steps[0], {"do": "look"}]), failing_at(1))
    assert [step.request for step in asked] == [{"text": "hello"}, {}, {"text": "hello"}]


def test_an_undo_that_fails_is_recorded_and_the_others_still_go_back() -> None:
    def answer(step: RunStep) -> StepOutcome:
        if step.undo and step.position == 1:
            return step.outcome("unknown", started_at=NOW, latency_ms=1, error="lost")
        return failing_at(2)(step)

    send = {"do": "send", "undo": "retract"}
    _, ending = drive(decision(), charter([send, send, send]), answer)
    assert statuses(ending) == [(0, "done"), (1, "done"), (2, "failed"), (1, "undo_failed"), (0, "undone")]
    assert ending.reason == "step 2 (send) failed: no; not taken back: retract"


def test_an_unknown_step_stops_everything_as_it_stands() -> None:
    _, ending = drive(decision(), charter(SENDS), failing_at(1, status="unknown"))
    assert (ending.status, statuses(ending)) == ("failed", [(0, "done"), (1, "unknown")])
    assert "unknown" in ending.reason


def test_values_that_cannot_be_made_fail_the_step_without_a_call() -> None:
    steps = [SENDS[0], {"do": "look", "with": {"n": "{{ event.data.missing }}"}}]
    asked, ending = drive(decision(), charter(steps))
    assert [step.handler for step in asked] == ["send", "retract"]
    assert statuses(ending) == [(0, "done"), (1, "failed"), (0, "undone")]
    assert "missing" in (ending.outcomes[1].error or "")
    assert ending.outcomes[1].attempts == 0


def test_a_dry_run_asks_nobody_and_shows_what_would_be_sent() -> None:
    asked, ending = drive(decision(disposition="dry_run", kind="research"), charter(SENDS, kind="research"))
    assert asked == []
    assert (ending.status, ending.next_case, ending.reminders) == ("completed", None, ())
    assert statuses(ending) == [(0, "skipped"), (1, "skipped"), (2, "skipped")]
    assert orjson.loads(ending.outcomes[0].result) == {"ticket": "ticket-1", "text": "hello"}
    assert "dry run" in (ending.outcomes[1].error or "")  # it reads the result of a step that never ran


@pytest.mark.parametrize("disposition", ["needs_approval", "refused", "deferred"])
def test_nothing_else_is_ever_run(disposition: str) -> None:
    with pytest.raises(ValueError, match=disposition):
        drive(decision(disposition=disposition), charter(SENDS))


def test_an_escalation_is_escalated() -> None:
    assert drive(decision(kind="escalate"), charter(SENDS, kind="escalate"))[1].status == "escalated"


def test_research_goes_on_as_the_next_step_with_its_results() -> None:
    made = decision(kind="research", case={"spent": Spent(actions=1, external_calls=2, model_calls=3)})
    _, ending = drive(made, charter(SENDS, kind="research"))
    assert ending.status == "running"
    assert ending.next_case is not None
    assert ending.next_case.step == 1
    assert ending.next_case.spent == Spent(actions=2, external_calls=5, model_calls=3)
    (past,) = ending.next_case.history
    assert (past.step, past.action, past.outcomes) == (0, "do", ending.outcomes)


@pytest.mark.parametrize(
    ("spent", "later", "reason"),
    [
        (Spent(actions=4), timedelta(), "bounds.actions: 5 of 5 used"),
        (Spent(external_calls=7), timedelta(), "bounds.external_calls: 10 of 10 used"),
        (Spent(model_calls=6), timedelta(), "bounds.model_calls: 6 of 6 used"),
        (Spent(), timedelta(seconds=120), "bounds.seconds: 120 of 120 used"),
    ],
)
@pytest.mark.parametrize("kind", ["research", "wait"])
def test_a_case_that_has_used_its_bounds_goes_to_a_person(
    kind: str, spent: Spent, later: timedelta, reason: str
) -> None:
    made = decision(kind=kind, case={"spent": spent})
    _, ending = drive(made, charter(SENDS, kind=kind), now=NOW + later)
    assert ending.next_case is not None
    assert (ending.status, ending.next_case.escalate_because, ending.reminders) == ("running", reason, ())
    again = decision(kind=kind, case={"spent": spent, "escalate_because": "before"})
    _, end = drive(again, charter(SENDS, kind=kind), now=NOW + later)
    assert (end.status, end.next_case, end.reason) == ("escalated", None, reason)


def test_a_step_over_the_bound_on_calls_is_not_made_and_the_rest_goes_back() -> None:
    asked, ending = drive(decision(), charter(SENDS, bounds={"external_calls": 2}))
    assert [step.handler for step in asked] == ["send", "look", "retract"]
    assert statuses(ending) == [(0, "done"), (1, "done"), (2, "skipped"), (0, "undone")]
    assert ending.next_case is not None
    assert "external_calls" in ending.next_case.escalate_because


def test_notes_count_as_no_call_and_handing_over_is_never_bound() -> None:
    notes = [{"do": "note"}] * 3
    assert drive(decision(), charter(notes, bounds={"external_calls": 1}))[1].status == "completed"
    steps = [{"do": "look"}] * 3
    compiled = charter(steps, kind="escalate", bounds={"external_calls": 1})
    assert drive(decision(kind="escalate"), compiled)[1].status == "escalated"


@pytest.mark.parametrize(
    ("after", "at_most", "seconds"),
    [
        ("2h", "24h", 7200),
        ("48h", "24h", 86_400),
        ("90m", None, 5400),
        (None, "3h", 10_800),
        (None, None, 86_400),
        ("soon", "1h", 3600),
    ],
)
def test_a_wait_lets_the_next_step_ask_for_money_when_it_is_due(after: Any, at_most: Any, seconds: int) -> None:
    made = decision(kind="wait", parameters=orjson.dumps({"after": after} if after else {}).decode())
    action = {"at_most": at_most} if at_most else {}
    _, ending = drive(made, charter([], kind="wait", action=action))
    assert (ending.status, ending.next_case) == ("waiting", None)
    (timer,) = ending.reminders
    assert (timer.topic, timer.due_at, timer.subject) == ("budget", NOW + timedelta(seconds=seconds), "ticket-1")
    assert isinstance(timer.record, BudgetEntry)
    case = timer.record.case
    assert case is not None
    assert (timer.record.kind, case.case_id, case.step, timer.record.step) == ("reserve", made.case.case_id, 1, 1)
    assert case.reserved_microusd == 0, "while it waits nothing is held"
    assert case.received_at == timer.due_at  # else waiting would use up bounds.seconds


REMIND = {"do": "remind", "with": {"after": "48h", "type": "ticket.followup", "data": {"n": "{{ event.data.n }}"}}}


def test_a_reminder_is_an_event_of_the_same_subject() -> None:
    asked, ending = drive(decision(), charter([REMIND]))
    assert asked == []
    (timer,) = ending.reminders
    event = timer.record
    assert isinstance(event, Event)
    assert (timer.topic, timer.due_at) == ("ingest", NOW + timedelta(hours=48))
    assert (event.type, event.subject, event.time) == ("ticket.followup", "ticket-1", timer.due_at)
    assert (event.source, event.data) == ("nightdesk/support", '{"n":1}')


def test_a_reminder_is_not_set_when_a_later_step_fails() -> None:
    _, ending = drive(decision(), charter([REMIND, {"do": "look"}]), failing_at(1))
    assert (ending.reminders, statuses(ending)) == ((), [(0, "done"), (1, "failed"), (0, "undone")])


def test_a_reminder_keeps_its_due_time_through_a_crash() -> None:
    compiled = charter([REMIND, {"do": "look"}])
    _, before = drive(decision(), compiled)
    _, after = drive(decision(), compiled, progress=Progress(before.outcomes[:1]), now=NOW + timedelta(hours=1))
    assert after.reminders == before.reminders


@pytest.mark.parametrize("values", [{"after": "soon", "type": "x"}, {"type": "x"}, {"after": "1h"}])
def test_a_reminder_that_cannot_be_set_fails_its_step(values: dict[str, str]) -> None:
    _, ending = drive(decision(), charter([{"do": "remind", "with": values}]))
    assert (ending.status, ending.reminders) == ("failed", ())


def test_an_outcome_of_another_step_is_a_mistake() -> None:
    flow = playbook.run(decision(), charter(SENDS), Progress(), NOW)
    step = next(flow)
    with pytest.raises(IllegalOutcome):
        flow.send(done(replace(step, step_id="another")))


def test_an_undone_step_cannot_come_from_going_forward() -> None:
    flow = playbook.run(decision(), charter(SENDS), Progress(), NOW)
    step = next(flow)
    with pytest.raises(IllegalOutcome):
        flow.send(done(replace(step, undo=True)))


def test_a_begun_call_is_said_to_be_begun() -> None:
    made = decision()
    progress = Progress(intents=(ids.step_id(made.decision_id, 1),))
    asked, _ = drive(made, charter(SENDS), progress=progress)
    assert [step.begun for step in asked] == [False, True, False]


# Every step of a random playbook, and how each call of it ends.
STEP = st.sampled_from(["send", "irreversible", "look", "remind", "note"])
FATE = st.sampled_from(["done", "done", "done", "failed", "unknown"])
WRITTEN: dict[str, dict[str, Any]] = {
    "send": {"do": "send", "undo": "retract"},
    "irreversible": {"do": "send", "irreversible": True},
    "look": {"do": "look"},
    "remind": REMIND,
    "note": {"do": "note"},
}


@st.composite
def plays(draw: st.DrawFn) -> tuple[CompiledCharter, list[str], Answer]:
    names = draw(st.lists(STEP, max_size=6))
    fates = draw(st.lists(FATE, min_size=len(names), max_size=len(names)))
    undos = draw(st.lists(FATE, min_size=len(names), max_size=len(names)))
    kind = draw(st.sampled_from(["respond", "research", "wait", "escalate"]))
    calls = draw(st.integers(1, 8))

    def answer(step: RunStep) -> StepOutcome:
        fate: Any = (undos if step.undo else fates)[step.position]
        return step.outcome(fate, started_at=NOW, latency_ms=1)

    return charter([WRITTEN[name] for name in names], kind=kind, bounds={"external_calls": calls}), names, answer


@given(plays())
def test_what_goes_back_is_what_was_done_and_can_be_last_first_each_once(
    play: tuple[CompiledCharter, list[str], Answer],
) -> None:
    compiled, names, answer = play
    _, ending = drive(decision(kind=compiled.charter.actions["do"].kind), compiled, answer)
    forward = [found for found in statuses(ending) if found[1] in ("done", "failed", "unknown", "skipped")]
    back = [position for position, status in statuses(ending) if status in ("undone", "undo_failed")]
    assert [position for position, _ in forward] == list(range(len(forward)))
    stopped = forward[-1][1] if forward and forward[-1][1] != "done" else None
    could = [position for position, status in forward if status == "done" and names[position] in ("send", "remind")]
    assert back == (could[::-1] if stopped in ("failed", "skipped") else [])
    assert stopped is not None or len(forward) == len(names)
    assert stopped != "failed" or ending.status == "failed"
    assert stopped != "unknown" or ending.status == "failed"


@given(plays(), st.data())
def test_resuming_anywhere_comes_to_the_same_ending(
    play: tuple[CompiledCharter, list[str], Answer], data: st.DataObject
) -> None:
    compiled, _, answer = play
    made = decision(kind=compiled.charter.actions["do"].kind)
    asked, whole = drive(made, compiled, answer)
    known = data.draw(st.integers(0, len(whole.outcomes)))
    again, ending = drive(made, compiled, answer, Progress(whole.outcomes[:known]))
    assert ending == whole
    recorded = {outcome.step_id for outcome in whole.outcomes[:known]}
    assert [step.step_id for step in again] == [step.step_id for step in asked if step.step_id not in recorded]


@given(plays(), st.integers(0, 12))
def test_resuming_with_only_what_the_stage_performed_comes_to_the_same_ending(
    play: tuple[CompiledCharter, list[str], Answer], known: int
) -> None:
    compiled, _, answer = play
    made = decision(kind=compiled.charter.actions["do"].kind)
    asked, whole = drive(made, compiled, answer)
    performed = {step.step_id for step in asked[:known]}
    progress = Progress(tuple(outcome for outcome in whole.outcomes if outcome.step_id in performed))
    assert drive(made, compiled, answer, progress)[1] == whole
