"""How a playbook ends, as tables and as properties over every way in which its steps can end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors import playbook
from nightdesk.processors.charter.compiled import CompiledCharter, compile_charter
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.playbook import Ending, IllegalOutcome, Progress, RunStep, StepResult
from nightdesk.processors.playbook.carried import CARRIED_BYTES_AT_MOST
from nightdesk.processors.playbook.failure import MAY_HAVE_HAPPENED, NO_ESCALATION
from nightdesk.processors.scopes import event_scope
from nightdesk.schemas import ids
from nightdesk.schemas.records import BudgetEntry, Case, Decision, Event, Spent, StepOutcome

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
    case_id = ids.case_id("support", "tests", "event-1", "ticket-1")
    event = Event(id="event-1", source="tests", type="ticket.created", subject="ticket-1", time=NOW, data='{"n": 1}')
    case = Case(case_id=case_id, agent="support", charter_version="1", event=event, received_at=NOW, stored_at=NOW)
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
    return step.outcome(StepResult("done", orjson.dumps({"id": step.step_id}).decode()), started_at=NOW, latency_ms=1)


def failing_at(*positions: int, status: Any = "failed") -> Answer:
    def answer(step: RunStep) -> StepOutcome:
        if step.position in positions and not step.undo:
            return step.outcome(StepResult(status, error="no"), started_at=NOW, latency_ms=1)
        return done(step)

    return answer


def drive(
    made: Decision,
    compiled: CompiledCharter,
    answer: Answer = done,
    progress: Progress = Progress(),  # noqa: B008 - frozen
    now: datetime = NOW,
) -> tuple[list[RunStep], Ending]:
    """Perform the playbook; returns the requested steps, and the ending."""
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


def recorded(*outcomes: StepOutcome) -> Progress:
    """What the act stage remembers when these steps are over."""
    return Progress(outcomes, called_ms=sum(outcome.latency_ms for outcome in outcomes))


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
    assert (ending.status, ending.reason) == ("running", "step 2 (send) failed: no; undone: send")


def test_an_undo_without_values_gets_what_the_step_got() -> None:
    steps = [{"do": "send", "with": {"text": "{{ decision.parameters.text }}"}, "undo": "retract"}, SENDS[1]]
    asked, _ = drive(decision(), charter([steps[0], {"do": "look"}]), failing_at(1))
    assert [step.request for step in asked] == [{"text": "hello"}, {}, {"text": "hello"}]


def test_an_undo_that_fails_is_recorded_and_the_others_still_go_back() -> None:
    def answer(step: RunStep) -> StepOutcome:
        if step.undo and step.position == 1:
            return step.outcome(StepResult("unknown", error="lost"), started_at=NOW, latency_ms=1)
        return failing_at(2)(step)

    send = {"do": "send", "undo": "retract"}
    _, ending = drive(decision(), charter([send, send, send]), answer)
    assert statuses(ending) == [(0, "done"), (1, "done"), (2, "failed"), (1, "undo_failed"), (0, "undone")]
    assert ending.reason == "step 2 (send) failed: no; undone: send; not undone: retract"


def test_an_unknown_step_stops_everything_as_it_stands() -> None:
    _, ending = drive(decision(), charter(SENDS), failing_at(1, status="unknown"))
    assert (ending.status, statuses(ending)) == ("running", [(0, "done"), (1, "unknown")])
    assert "unknown" in ending.reason
    assert ending.next_case is not None
    assert ending.next_case.escalate_because.startswith(f"do {MAY_HAVE_HAPPENED}; step 1 (")


def test_values_that_cannot_be_made_fail_the_step_without_a_call() -> None:
    steps = [SENDS[0], {"do": "look", "with": {"n": "{{ event.data.missing }}"}}]
    asked, ending = drive(decision(), charter(steps))
    assert [step.handler for step in asked] == ["send", "retract"]
    assert statuses(ending) == [(0, "done"), (1, "failed"), (0, "undone")]
    assert "missing" in (ending.outcomes[1].error or "")
    assert ending.outcomes[1].attempts == 0


def test_a_dry_run_changes_nothing_and_shows_what_would_be_sent() -> None:
    asked, ending = drive(decision(disposition="dry_run", kind="research"), charter(SENDS, kind="research"))
    assert [step.handler for step in asked if not step.rehearsed] == []
    assert (ending.status, ending.next_case, ending.timers) == ("dry_run", None, ())
    assert statuses(ending) == [(0, "would_have"), (1, "would_have"), (2, "would_have")]
    assert asked[0].request == {"ticket": "ticket-1", "text": "hello"}
    assert "dry run" in (ending.outcomes[1].error or "")  # it reads the result of a step that never ran


LOOKS = [{"do": "look", "with": {"n": "1"}, "as": "found"}, {"do": "look", "with": {"n": "{{ steps.found }}"}}]


def test_a_dry_run_performs_what_changes_nothing_and_research_goes_on() -> None:
    made = decision(disposition="dry_run", kind="research")
    asked, ending = drive(made, charter(LOOKS, kind="research"))
    assert [(step.handler, step.rehearsed) for step in asked] == [("look", False), ("look", False)]
    assert (ending.status, statuses(ending)) == ("running", [(0, "done"), (1, "done")])
    assert ending.next_case is not None
    assert ending.next_case.step == made.case.step + 1


def test_a_dry_run_that_a_person_would_have_to_approve_reads_nothing_either() -> None:
    reason = "in live mode it would need approval: look always needs approval"
    made = decision(disposition="dry_run", kind="research", disposition_reason=reason, would_need_approval=True)
    asked, ending = drive(made, charter(LOOKS, kind="research"))
    assert all(step.rehearsed for step in asked)
    assert (ending.status, ending.next_case) == ("dry_run", None)
    assert ending.reason == f"nothing was changed: {reason}"


def test_a_dry_run_says_where_it_would_have_stopped() -> None:
    made = decision(disposition="dry_run")
    _, ending = drive(made, charter([LOOKS[0], *SENDS]), failing_at(0))
    assert (ending.status, statuses(ending)) == ("dry_run", [(0, "failed")])
    assert ending.reason.startswith("in live mode: step 0 (look) failed")
    assert ending.has_failed


@pytest.mark.parametrize("disposition", ["needs_approval", "refused"])
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
    assert ending.next_case.spent == Spent(actions=2, external_calls=5, model_calls=3, worked_ms=3)
    (past,) = ending.next_case.history
    assert (past.step, past.action, past.outcomes) == (0, "do", ending.outcomes)


@pytest.mark.parametrize(
    ("spent", "later", "reason"),
    [
        (Spent(actions=4), timedelta(), "bounds.actions: 5 of 5 used"),
        (Spent(external_calls=7), timedelta(), "bounds.external_calls: 10 of 10 used"),
        (Spent(model_calls=6), timedelta(), "bounds.model_calls: 6 of 6 used"),
        (Spent(worked_ms=120_000), timedelta(), "bounds.seconds: 120 of 120 used"),
        (Spent(), timedelta(hours=48), "bounds.stale_after: the case is 48 h old, and 48 h is the limit"),
    ],
)
@pytest.mark.parametrize("kind", ["research", "wait"])
def test_a_case_that_has_used_its_bounds_goes_to_a_person(
    kind: str, spent: Spent, later: timedelta, reason: str
) -> None:
    made = decision(kind=kind, case={"spent": spent})
    _, ending = drive(made, charter(SENDS, kind=kind), now=NOW + later)
    assert ending.next_case is not None
    assert (ending.status, ending.next_case.escalate_because, ending.timers) == ("running", reason, ())
    again = decision(kind=kind, case={"spent": spent, "escalate_because": "before"})
    _, end = drive(again, charter(SENDS, kind=kind), now=NOW + later)
    assert (end.status, end.next_case, end.reason, end.dead_letter) == ("failed", None, reason, NO_ESCALATION)


@pytest.mark.parametrize("kind", ["research", "wait"])
def test_waiting_uses_up_no_working_time(kind: str) -> None:
    _, ending = drive(decision(kind=kind), charter(SENDS, kind=kind), now=NOW + timedelta(hours=47))
    assert ending.status == ("running" if kind == "research" else "waiting")
    assert ending.following is not None
    assert ending.following.escalate_because == ""


def test_each_call_is_working_time_once_also_if_the_playbook_is_run_again() -> None:
    compiled = charter(SENDS, kind="research")
    made = decision(kind="research", case={"spent": Spent(worked_ms=1000)})

    def slow(step: RunStep) -> StepOutcome:
        return done(step).model_copy(update={"latency_ms": 200})

    def worked(progress: Progress) -> int:
        _, ending = drive(made, compiled, slow, progress)
        assert ending.following is not None
        return ending.following.spent.worked_ms

    outcomes = drive(made, compiled, slow)[1].outcomes
    retried_ms = 50
    assert {
        worked(Progress(outcomes[:known], called_ms=retried_ms + 200 * known)) for known in range(len(outcomes) + 1)
    } == {1000 + retried_ms + 200 * len(outcomes)}


@pytest.mark.parametrize("kind", ["research", "wait"])
def test_a_stale_case_is_dropped_where_its_charter_says_so(kind: str) -> None:
    compiled = charter(SENDS, kind=kind, bounds={"stale_after": "1h", "when_stale": "drop"})
    _, ending = drive(decision(kind=kind), compiled, now=NOW + timedelta(hours=1))
    assert (ending.status, ending.following) == ("refused", None)
    assert "stale_after" in ending.reason


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
    (timer,) = ending.timers
    assert (timer.topic, timer.due_at, timer.subject) == ("budget", NOW + timedelta(seconds=seconds), "ticket-1")
    assert isinstance(timer.record, BudgetEntry)
    case = timer.record.case
    assert case is not None
    assert (timer.record.kind, case.case_id, case.step, timer.record.step) == ("reserve", made.case.case_id, 1, 1)
    assert case.reserved_microusd == 0, "while it waits nothing is held"
    assert case.received_at == case.aged_from == timer.due_at  # it chose to wait, and is not old by that


REMIND = {"do": "remind", "with": {"after": "48h", "type": "ticket.followup", "data": {"n": "{{ event.data.n }}"}}}


def test_a_reminder_is_an_event_of_the_same_subject() -> None:
    asked, ending = drive(decision(), charter([REMIND]))
    assert asked == []
    (timer,) = ending.timers
    event = timer.record
    assert isinstance(event, Event)
    assert (timer.topic, timer.due_at) == ("ingest", NOW + timedelta(hours=48))
    assert (event.type, event.subject, event.time) == ("ticket.followup", "ticket-1", timer.due_at)
    assert event.source == "nightdesk/support"
    data = orjson.loads(event.data)
    assert (data["n"], set(data)) == (1, {"case", "n"})


def test_a_reminder_carries_the_case_that_asked_for_it() -> None:
    made = decision()
    _, ending = drive(made, charter([*SENDS, REMIND]))
    carried = orjson.loads(ending.timers[0].record.data)["case"]  # type: ignore[union-attr]
    assert (carried["id"], carried["truncated"]) == (made.case.case_id, False)
    assert (carried["event"]["id"], carried["event"]["data"]) == (
        made.case.event.id,
        orjson.loads(made.case.event.data),
    )
    assert (carried["decision"]["action"], carried["decision"]["confidence"]) == (made.action, made.confidence)
    assert [outcome["status"] for outcome in carried["outcomes"]] == ["done"] * len(ending.outcomes)


def test_a_chain_of_follow_ups_does_not_grow() -> None:
    size, made = [], decision()
    for _ in range(4):
        _, ending = drive(made, charter([REMIND]))
        event = ending.timers[0].record
        assert isinstance(event, Event)
        size.append(len(event.data))
        made = made.model_copy(update={"case": made.case.model_copy(update={"event": event})})
    assert size[-1] == size[-2]


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
PLAIN_REMIND = {"do": "remind", "with": {"after": "48h", "type": "ticket.followup"}}


def _nested(depth: int) -> Any:
    return [] if depth == 0 else [_nested(depth - 1)]


@given(
    st.recursive(LEAVES, lambda some: st.lists(some) | st.dictionaries(st.text(), some))
    | st.sampled_from([_nested(60), {"text": "x" * 500_000}, [[["y" * 1000] * 20] * 20] * 20, {"k" * 5000: 1}])
)
def test_whatever_the_event_was_the_follow_up_can_be_read(value: Any) -> None:
    made = decision()
    about = made.case.event.model_copy(update={"data": orjson.dumps({"n": 1, "value": value}).decode()})
    made = made.model_copy(update={"case": made.case.model_copy(update={"event": about})})
    _, ending = drive(made, charter([PLAIN_REMIND]))
    event = ending.timers[0].record
    assert isinstance(event, Event)
    assert len(event.data.encode()) <= CARRIED_BYTES_AT_MOST + 100
    assert event_scope(event).values["event"]["data"]["case"]["decision"]["action"] == made.action


def test_a_reminder_is_not_set_when_a_later_step_fails() -> None:
    _, ending = drive(decision(), charter([REMIND, {"do": "look"}]), failing_at(1))
    assert (ending.timers, statuses(ending)) == ((), [(0, "done"), (1, "failed"), (0, "undone")])


def test_a_reminder_whose_event_no_record_holds_is_a_step_that_failed() -> None:
    remind = {"do": "remind", "with": {"after": "48h", "type": "{{ 'x' * 20000 }}"}}
    _, ending = drive(decision(), charter([remind]))
    assert statuses(ending) == [(0, "failed")]
    assert (ending.outcomes[0].error or "").startswith("type: ")


def test_a_reminder_keeps_its_due_time_through_a_crash() -> None:
    compiled = charter([REMIND, {"do": "look"}])
    _, before = drive(decision(), compiled)
    _, after = drive(decision(), compiled, progress=Progress(before.outcomes[:1]), now=NOW + timedelta(hours=1))
    assert after.timers == before.timers


@pytest.mark.parametrize("values", [{"after": "soon", "type": "x"}, {"type": "x"}, {"after": "1h"}])
def test_a_reminder_that_cannot_be_set_fails_its_step(values: dict[str, str]) -> None:
    _, ending = drive(decision(), charter([{"do": "remind", "with": values}]))
    assert (statuses(ending), ending.timers) == ([(0, "failed")], ())


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
        return step.outcome(StepResult(fate), started_at=NOW, latency_ms=1)

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
    assert ending.has_failed == (stopped in ("failed", "unknown"))
    if ending.has_failed:  # a person gets it, or it is a dead letter
        assert (ending.next_case is None) == (compiled.charter.actions["do"].kind == "escalate")
        assert (ending.status == "failed") == bool(ending.dead_letter and ending.next_case is None)


@given(plays(), st.data())
def test_resuming_anywhere_comes_to_the_same_ending(
    play: tuple[CompiledCharter, list[str], Answer], data: st.DataObject
) -> None:
    compiled, _, answer = play
    made = decision(kind=compiled.charter.actions["do"].kind)
    asked, whole = drive(made, compiled, answer)
    known = data.draw(st.integers(0, len(whole.outcomes)))
    again, ending = drive(made, compiled, answer, recorded(*whole.outcomes[:known]))
    assert ending == whole
    known_ids = {outcome.step_id for outcome in whole.outcomes[:known]}
    assert [step.step_id for step in again] == [step.step_id for step in asked if step.step_id not in known_ids]


@given(plays(), st.integers(0, 12))
def test_resuming_with_only_what_the_stage_performed_comes_to_the_same_ending(
    play: tuple[CompiledCharter, list[str], Answer], known: int
) -> None:
    compiled, _, answer = play
    made = decision(kind=compiled.charter.actions["do"].kind)
    asked, whole = drive(made, compiled, answer)
    performed = {step.step_id for step in asked[:known]}
    progress = recorded(*(outcome for outcome in whole.outcomes if outcome.step_id in performed))
    assert drive(made, compiled, answer, progress)[1] == whole
