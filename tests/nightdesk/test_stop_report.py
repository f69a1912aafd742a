"""What `stop verify` and `--wait` print of an order, without a broker: every state of a worker, in text and as JSON."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from nightdesk.commands.stop import held_back_rows, report
from nightdesk.operations.halted_decisions import HaltedDecisions
from nightdesk.operations.stop_checks import StopCheck
from nightdesk.operations.stops import ActiveStop, Obedience, WorkerStop
from nightdesk.operations.workers import Worker
from nightdesk.output import Output
from nightdesk.schemas.records import CallFate, ControlCommand, LogPlace, ObeyedOrder
from nightdesk.sinks.late_calls import LateCall
from nightdesk.streams.identity import Identity
from tests.processors.examples import NOW

BOUND = NOW + timedelta(seconds=5)
LATE = LateCall("desk", "ticket-1", "c-1", "d-1", "s-1", "pay", "done", NOW + timedelta(seconds=9))
HELD = HaltedDecisions("desk", 3, 1, NOW)


def worker(stage: str, status: str) -> WorkerStop:
    told = Worker(Identity(stage, "0").report("ready", NOW), NOW, status == "silent")
    return WorkerStop(told, status)  # type: ignore[arg-type]  # one of the four


OBEYED = WorkerStop(
    worker("act", "obeyed").worker,
    "obeyed",
    ObeyedOrder(
        agent="desk",
        kind="pause",
        offset=7,
        obeyed_at=NOW,
        positions=(LogPlace(topic="act", partition=2, offset=41),),
        calls=(CallFate(call_id="c-9", agent="desk", fate="unknown"),),
        calls_omitted=4,
    ),
)
WAITING, SILENT, STOPPED = worker("decide", "waiting"), worker("decide", "silent"), worker("decide", "stopped")


def check(
    *workers: WorkerStop, agent: str = "desk", late: tuple[LateCall, ...] | None = None, held: bool = False
) -> StopCheck:
    order = ControlCommand(key=agent, kind="pause", agent=agent, reason="night", issued_by="ada", time=NOW)
    stop = ActiveStop(order, 7, NOW)
    return StopCheck(Obedience(stop, workers, BOUND), (HELD,) if held else (), late)


def text(found: StopCheck, capsys: pytest.CaptureFixture[str]) -> list[str]:
    report(found, Output.text)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def document(found: StopCheck, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    report(found, Output.json)
    read: dict[str, Any] = json.loads(capsys.readouterr().out)
    return read


def test_the_order_is_named_with_its_place_and_its_bound(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *rest = text(check(), capsys)
    assert first == f"pause: desk, with the broker since {NOW:%Y-%m-%d %H:%M:%S} UTC, offset 7 of control"
    assert second == f"no worker starts a call after {BOUND:%Y-%m-%d %H:%M:%S} UTC"
    assert "no worker of decide or act is running" in rest
    assert "no decision waits for the end of an order" in rest
    assert text(check(agent="*"), capsys)[0].startswith("pause: every agent,")


def test_each_worker_has_its_state_and_from_where_nothing_acted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = text(check(OBEYED, WAITING, SILENT, STOPPED, held=True), capsys)
    assert "act/0 obeyed act 2 41" in lines
    assert "decide/0 decide/0 (reports, and has not read the order)" in lines
    assert any(line.startswith("decide/0 decide/0 (silent since ") for line in lines)
    assert "decide/0 stopped" in lines
    assert "no worker of decide or act is running" not in lines
    assert any(line.startswith("3 decisions wait for the end of an order") for line in lines)


def test_what_became_of_running_calls_is_listed_only_if_there_were_any(capsys: pytest.CaptureFixture[str]) -> None:
    lines = text(check(OBEYED), capsys)
    listed = lines[lines.index("running when the order was read") + 1 :]
    assert listed == ["call agent became worker", "c-9 desk unknown act/0", "and 4 more act/0"]
    assert "running when the order was read" not in text(check(WAITING), capsys)


def test_calls_after_the_order_are_listed_only_if_there_were_any(capsys: pytest.CaptureFixture[str]) -> None:
    lines = text(check(OBEYED, late=(LATE,)), capsys)
    assert any("s-1 pay done" in line for line in lines[lines.index("started after the order") :])
    for none in (None, ()):
        assert "started after the order" not in text(check(OBEYED, late=none), capsys)


def test_as_json_every_part_has_its_own_value(capsys: pytest.CaptureFixture[str]) -> None:
    whole = document(check(OBEYED, WAITING, late=(LATE,), held=True), capsys)
    assert whole["order"] == {
        "agent": "desk",
        "kind": "pause",
        "issued_by": "ada",
        "reason": "night",
        "offset": 7,
        "at": str(NOW),
    }
    assert (whole["no_call_after"], whole["confirmed"]) == (str(BOUND), False)
    obeyed, waiting = whole["workers"]
    assert obeyed == {
        "worker": "act/0",
        "status": "obeyed",
        "doubt": "",
        "last_report": str(NOW),
        "obeyed_at": str(NOW),
        "positions": [{"topic": "act", "partition": 2, "offset": 41}],
        "calls": [{"call_id": "c-9", "agent": "desk", "fate": "unknown"}],
        "calls_omitted": 4,
    }
    assert (waiting["obeyed_at"], waiting["positions"], waiting["calls_omitted"]) == (None, [], 0)
    assert [each["step_id"] for each in whole["late"]] == ["s-1"]
    assert whole["held_back"] == [{"agent": "desk", "decisions": 3, "escalations": 1, "since": str(NOW)}]
    assert document(check(OBEYED), capsys) | {"workers": None} == whole | {
        "workers": None,
        "confirmed": True,
        "late": None,
        "held_back": held_back_rows(()),
    }
