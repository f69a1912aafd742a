"""Reads the status of an installation: stages, workers, and everything else that a person should know."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.transactions import OpenTransaction
from nightdesk.operations.away_systems import AwaySystem, away_systems
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.dead_letters.reading import Letter, open_letters
from nightdesk.operations.halted_decisions import HaltedDecisions, halted_decisions
from nightdesk.operations.installation import Installation
from nightdesk.operations.orders import read_control
from nightdesk.operations.routes import read_routes
from nightdesk.operations.stage_status import StageStatus, long_transactions, stage_status
from nightdesk.operations.waiting_steps import WaitingGroup, waiting_steps
from nightdesk.operations.workers import Worker, read_workers
from nightdesk.processors.notifications import RouteState
from nightdesk.schemas.records import DeadLetter, DeadLetterEnd, UnreadableCharter
from nightdesk.sinks.cases import counted
from nightdesk.sinks.story import Halt
from nightdesk.streams.control import Control

Answer = TypeVar("Answer")

# Kinds of dead letters that are more serious than a failed record.
SET_ASIDE = ("lost", "quarantined")
# The ends of cases that a person should look at, and the period in which they are counted.
TO_LOOK_AT = ("failed", "rejected")
COUNTED_OF = timedelta(days=1)

LOOK_AGAIN_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Status:
    """The status. A field is None if it cannot be read now.

    `halts` are the stopped agents (`*` is every agent), `held_back` the decisions that wait for the end of an order,
    `waiting` the steps that wait before they are decided, `letters` the open dead letters, and `last_day` the number of
    cases that ended in each way of `TO_LOOK_AT`. `away` are the providers and systems that do not answer, `routes`
    those of notifications. `takes_events`: a charter is in force for some agent.
    """

    stages: Mapping[str, StageStatus]
    workers: Sequence[Worker] | None
    halts: Sequence[Halt] | None
    held_back: Sequence[HaltedDecisions] | None
    waiting: Sequence[WaitingGroup] | None
    letters: Sequence[Letter] | None
    transactions: Sequence[OpenTransaction]
    last_day: Mapping[str, int] | None
    away: Sequence[AwaySystem] | None = ()
    routes: Sequence[RouteState] | None = ()
    takes_events: bool | None = True

    def letters_of_stage(self, stage: str) -> int | None:
        """The number of a stage's open dead letters."""
        return None if self.letters is None else Counter(letter.about.stage for letter in self.letters)[stage]

    def set_aside(self, kind: str) -> list[Letter]:
        """Open dead letters of one kind."""
        return [letter for letter in self.letters or () if letter.about.kind == kind]

    def unreadable_charters(self) -> list[tuple[Worker, UnreadableCharter]]:
        """The promoted charters that a running worker cannot read."""
        running = [one for one in self.workers or () if one.report.state not in ("stopped", "refused")]
        return [(one, charter) for one in running for charter in one.report.unreadable_charters if charter.promoted]

    def check_done(self, waited_s: float) -> None:
        """Raises `Failure` unless every stage runs and has nothing left to do."""
        if not is_done(self.stages):
            waiting = [name for name, stage in self.stages.items() if stage.state != "running" or stage.lag]
            raise Failure(f"not done after {waited_s:g} s: {', '.join(waiting)}", kind=FailureKind.NOT_READY)

    def check_nothing_lost(self) -> None:
        """Raises `Failure` while nobody has acknowledged that records were lost."""
        if lost := self.set_aside("lost"):
            raise Failure(
                f"{sum(letter.about.records for letter in lost)} records were lost",
                "Find out why (retention, an administrator), then `nightdesk dlq discard ID --reason ...`",
                FailureKind.LOST,
            )


def read_status(installation: Installation, wait_s: float = 0.0) -> Status:
    """The status now; with `wait_s` as soon as every stage runs and has nothing left to do, or at the end of that time.

    Raises `Failure` if Kafka does not answer.
    """
    until = time.monotonic() + wait_s
    stages = stage_status(installation.kafka)
    while not is_done(stages) and time.monotonic() < until:
        time.sleep(LOOK_AGAIN_AFTER_S)
        stages = stage_status(installation.kafka)
    control = _or_none(lambda: read_control(installation))
    return Status(
        stages=stages,
        workers=_or_none(lambda: read_workers(installation)),
        halts=None if control is None else _halts(control),
        held_back=_or_none(lambda: halted_decisions(installation)),
        waiting=_or_none(lambda: waiting_steps(installation)),
        letters=_or_none(lambda: _open_letters(installation)),
        transactions=long_transactions(installation.kafka),
        last_day=_or_none(lambda: _last_day(installation)),
        away=_or_none(lambda: away_systems(installation)),
        routes=_or_none(lambda: list(read_routes(installation).values())),
        takes_events=None if control is None else bool(control.current()),
    )


def is_done(stages: Mapping[str, StageStatus]) -> bool:
    """Whether every stage runs and has nothing left to do."""
    return all(stage.state == "running" and not stage.lag for stage in stages.values())


def _or_none(read: Callable[[], Answer]) -> Answer | None:
    try:
        return read()
    except Failure:
        return None


def _halts(control: Control) -> list[Halt]:
    return [
        Halt(
            agent=order.agent,
            order=order.kind,
            issued_by=order.issued_by,
            login=order.login,
            reason=order.reason,
            since=order.time,
        )
        for order in control.orders()
        if order.kind in ("pause", "stop_all")
    ]


def _open_letters(installation: Installation) -> Sequence[Letter]:
    with registered_codec(installation, DeadLetter, DeadLetterEnd) as codec:
        return open_letters(installation.kafka, codec)


def _last_day(installation: Installation) -> Mapping[str, int]:
    with clickhouse(installation.clickhouse) as client:
        return counted(client, datetime.now(UTC) - COUNTED_OF, TO_LOOK_AT)
