"""The order of what `nightdesk up` does, and what it leaves out, with a stack that only writes down what it is told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nightdesk.commands import up as command
from nightdesk.commands.up import PREPARATION, STOP_SIGNALS, up
from nightdesk.local.demo_day import End
from nightdesk.messaging.failures import Failure

EVENT = '{"id": "evt-1", "source": "shop", "type": "t", "subject": "ticket-1", "data": {}}\n'
DONE = End("ticket-1", "shop", "evt-1", "completed", "finished")


class Told:
    """The steps in order, what was shown, and the stack that a test may change."""

    def __init__(self, home: Path) -> None:
        self.steps: list[str] = []
        self.shown: list[str] = []
        self.ends: list[list[End]] = [[DONE]]
        self.failing = ""
        self.settings = SimpleNamespace(
            local=SimpleNamespace(metrics_port=9400), home=home, charters=home / "charters", clickhouse=None
        )
        self.supervisor = SimpleNamespace(
            start=lambda *parts: self.steps.append(f"start {' '.join(map(str, parts))}"),
            check=lambda: self.steps.append("check"),
            wait=self._wait,
        )

    def _wait(self, _done: object) -> None:
        self.steps.append("wait")
        signal.raise_signal(signal.SIGTERM)

    def environment(self) -> dict[str, str]:
        return {"OF": "the stack"}

    def __enter__(self) -> Told:
        self.steps.append("stack")
        return self

    def __exit__(self, *_: object) -> None:
        self.steps.append("stack ends")

    def run(self, arguments: list[str], **options: Any) -> SimpleNamespace:
        assert options["env"] == self.environment()
        step = " ".join(arguments[arguments.index("nightdesk") + 1 :])
        self.steps.append(step)
        failed = bool(self.failing) and step.startswith(self.failing)
        return SimpleNamespace(
            returncode=int(failed), stdout=f"story of {step}", stderr="error: no\n" if failed else ""
        )

    def states(self, _settings: object) -> list[End]:
        return self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    told = Told(tmp_path)
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    monkeypatch.setattr(command, "subprocess", SimpleNamespace(run=told.run))
    monkeypatch.setattr(command, "load_settings", lambda: told.settings)
    monkeypatch.setattr(command, "LocalStack", lambda _settings, _report: told)
    monkeypatch.setattr(command, "OnConsole", lambda: SimpleNamespace(show=told.shown.append))
    monkeypatch.setattr(command, "stage_ports", lambda port: told.steps.append(f"ports {port}"))
    monkeypatch.setattr(command, "stage_parts", lambda _stack: ("ingest", "act"))
    monkeypatch.setattr(command, "console_part", lambda _stack: SimpleNamespace(where="http://console"))
    monkeypatch.setattr(command, "providers_configured", lambda _settings: [])
    monkeypatch.setattr(command, "ends", told.states)
    yield told
    for number, handler in handlers.items():
        signal.signal(number, handler)


def with_a_day(told: Told) -> Path:
    events: Path = told.settings.charters / "support-triage" / "events.jsonl"
    events.parent.mkdir(parents=True)
    events.write_text(EVENT)
    return events


def prepared(told: Told) -> list[str]:
    return [step.format(charters=told.settings.charters) for step in PREPARATION]


def test_it_prepares_starts_the_stages_sends_the_day_and_waits(told: Told) -> None:
    events = with_a_day(told)
    up()
    start = next(step for step in told.steps if step.startswith("start"))
    assert start.startswith("start ingest act ")
    assert told.steps == [
        "ports 9400", "stack", *prepared(told), start, f"produce {events}", "why ticket-1", "wait", "stack ends",
    ]  # fmt: skip
    assert "all 1 events are finished" in told.shown
    assert "story of why ticket-1" in told.shown
    assert told.shown[-1] == "stopped"
    assert any("http://console" in line for line in told.shown)
    assert told.shown[0].startswith("No model is configured")
    assert [line for line in told.shown if line.startswith("done: nightdesk ")] == [
        f"done: nightdesk {step}" for step in prepared(told)
    ]


def test_the_day_is_sent_once_and_shown_again(told: Told) -> None:
    with_a_day(told)
    up()
    told.steps.clear()
    up()
    assert "why ticket-1" in told.steps
    assert not [step for step in told.steps if step.startswith("produce")]


def test_without_a_day_there_is_none_to_wait_for(told: Told) -> None:
    up()
    assert not [step for step in told.steps if step.startswith(("produce", "why"))]
    assert any(line.startswith("no example day: ") for line in told.shown)


def test_without_the_day_and_without_the_stages(told: Told) -> None:
    with_a_day(told)
    up(demo=False)
    assert not [step for step in told.steps if step.startswith(("produce", "why"))]
    assert any(step.startswith("start") for step in told.steps)
    told.steps.clear()
    told.shown.clear()
    up(stages=False)
    assert told.steps == ["stack", "wait", "stack ends"]
    assert not any("console" in line for line in told.shown)


def test_it_waits_for_the_events_while_the_parts_run_and_not_for_ever(told: Told) -> None:
    with_a_day(told)
    told.ends = [[], [], [DONE]]
    up()
    assert told.steps.count("check") == 2
    told.ends = [[]]
    told.steps.clear()
    up()
    assert told.steps.count("check") == 1 + command.EXAMPLE_DAY_WITHIN_S / 0.5 + 1
    assert "1 of 1 events are not finished yet (evt-1): see `nightdesk status`" in told.shown
    assert "why ticket-1" not in told.steps


def test_a_step_that_fails_ends_it_with_the_steps_own_error(told: Told) -> None:
    told.failing = "schemas"
    with pytest.raises(Failure, match="`nightdesk schemas register` failed: error: no"):
        up()
    assert told.steps == ["ports 9400", "stack", *prepared(told)[:2], "stack ends"]


def test_a_second_signal_does_not_disturb_the_end(told: Told) -> None:
    up()
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == [signal.SIG_IGN] * len(STOP_SIGNALS)


def test_that_a_model_costs_money_is_said(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "providers_configured", lambda _settings: ["anthropic"])
    up(demo=False)
    assert "costs money" in told.shown[0]
