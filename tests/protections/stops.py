"""The protections of `nightdesk stop verify`: what it waits for and looks at before it says that an order was obeyed.

Each is removed from a copy of the module that only its trial has. The time and the audit are those of the scenario.
"""

import importlib.util
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations import stop_checks
from nightdesk.operations.stops import ActiveStop, Obedience, WorkerStop
from nightdesk.operations.workers import Worker
from nightdesk.settings import Settings
from nightdesk.sinks.late_calls import LateCall
from nightdesk.streams.identity import Identity
from tests.processors.examples import NOW
from tests.protections.trial import Ground, Trial, substitute
from tests.streams.stages.stage_harness import order

WITHIN_S = 5.0
BOUND = NOW + timedelta(seconds=WITHIN_S)
Patch = Callable[[ModuleType], None]


class Scene:
    """An order at `NOW`, one worker, and a call that it started. The audit has it after two looks at the sink."""

    def __init__(self, started_s: float, clock_ahead_s: float = 0.0, state: str = "obeyed") -> None:
        self._call = LateCall("desk", "s", "case", "d", "step", "pay", "done", BOUND + timedelta(seconds=started_s))
        report = Identity("act", "0").report("ready", NOW)
        report = report.model_copy(update={"clock_offset_ms": round(-clock_ahead_s * 1000)})
        worker = WorkerStop(Worker(report, NOW, is_silent=False), state)  # type: ignore[arg-type]  # as trials give it
        self._found = Obedience(ActiveStop(order("stop_all", "*", "*"), 8, NOW), (worker,), BOUND)
        self._behind = 2

    def verdict(self, patch: Patch) -> FailureKind | None:
        """What the verification of the order says; None if all is well."""
        module = _own_copy()
        given = {
            "time": SimpleNamespace(monotonic=lambda: 0.0, sleep=self._look_again),
            "clickhouse": lambda _settings: nullcontext(self),
            "topic_bounds": lambda *_: {},
            "behind": lambda *_: self._behind,
            "late_steps": lambda _client, _agent, after, **_: self._landed_after(after),
            "late_questions": lambda *_: [],
            "halted_decisions": lambda _: [],
            "_standing": lambda *_: self._found.stop,
            "_wait_until_obeyed": lambda *_: self._found,
        }
        for name, value in given.items():
            substitute(module, name, value)
        patch(module)
        try:
            module.verify_stop(Settings(), "*", WITHIN_S, 60.0).check()
        except Failure as failure:
            return failure.kind
        return None

    def _look_again(self, _seconds: float) -> None:
        self._behind -= 1

    def _landed_after(self, after: Any) -> list[LateCall]:
        return [self._call] if not self._behind and self._call.started_at > after else []


def _own_copy() -> ModuleType:
    assert stop_checks.__spec__ is not None
    spec = importlib.util.spec_from_file_location(stop_checks.__name__, stop_checks.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def called_in_spite_of_the_order(patch: Patch) -> list[str]:
    """A worker made a call a second after the last moment, and the audit of it lands late."""
    return ["nobody is told of the call"] if Scene(1).verdict(patch) is not FailureKind.ACTED_AFTER_STOP else []


def called_by_a_clock_that_is_ahead(patch: Patch) -> list[str]:
    """The call was in time; its worker's clock says that it was not, because that is 30 s ahead."""
    return ["a call in time is called late"] if Scene(25, clock_ahead_s=30).verdict(patch) is not None else []


def asked_while_a_worker_is_silent(patch: Patch) -> list[str]:
    """No call is known of, and one worker has not said that it read the order."""
    verdict = Scene(-1, state="silent").verdict(patch)
    return ["an order is said to be obeyed that a worker may not know"] if verdict is not FailureKind.NOT_READY else []


def complete_audit(module: Any) -> None:
    """The audit is read as far as it has landed."""
    substitute(module, "_wait_for_audit", lambda *_: None)


def late_calls(module: Any) -> None:
    """The verification believes the workers, and does not look at the audit."""
    substitute(module, "late_steps", lambda *_, **__: [])


def difference_of_clocks(module: Any) -> None:
    """Times of workers and of the broker are compared as if their clocks were one."""
    substitute(module, "clocks_differ_by", lambda _: timedelta(0))


def confirmation_of_workers(module: Any) -> None:
    """A worker that says nothing is taken for one that obeys."""
    substitute(module, "_check_confirmed", lambda _: None)


def _of_stop_verify(protection: Patch, scenario: Callable[[Patch], list[str]], name: str = "") -> Trial:
    def play(_ground: Ground, protected: bool) -> list[str]:
        return scenario(_nothing if protected else protection)

    return Trial(protection.__name__, name or scenario.__name__, play)


def _nothing(_module: ModuleType) -> None:
    """Every protection is in place."""


TRIALS: tuple[Trial, ...] = (
    _of_stop_verify(complete_audit, called_in_spite_of_the_order),
    _of_stop_verify(late_calls, called_in_spite_of_the_order, "called_and_in_the_audit"),
    _of_stop_verify(difference_of_clocks, called_by_a_clock_that_is_ahead),
    _of_stop_verify(confirmation_of_workers, asked_while_a_worker_is_silent),
)
