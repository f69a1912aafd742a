"""Reads which model providers and connected systems do not answer, from the circuits that the stages have written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from nightdesk.messaging.topic_reader import read_table_parts
from nightdesk.operations.installation import Installation
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.circuits import WrittenCircuit
from nightdesk.streams.stages.decide import Decide

TABLE = "circuits"


@dataclass(frozen=True, slots=True)
class AwaySystem:
    """A system whose circuit a worker of the stage has opened. `failed_at` is when the last call failed, and
    `probed_from` when the next one may be made; `cause` is the kind of failure, if the stage knows one.
    """

    stage: str
    system: str
    cause: str
    failed_at: datetime
    probed_from: datetime

    def __str__(self) -> str:
        why = f" ({self.cause})" if self.cause else ""
        does = "asks" if self.stage == Decide.name else "calls"
        return (
            f"{self.system} does not answer{why}: a call of {self.stage} failed at"
            f" {self.failed_at:%Y-%m-%d %H:%M:%S} UTC, and it {does} again from {self.probed_from:%H:%M:%S} UTC on."
            " What needs it waits: see `nightdesk cases list --status waiting,deferred`"
        )


def away_systems(installation: Installation) -> list[AwaySystem]:
    """The systems that do not answer, by stage and name. Raises `Failure`."""
    return [
        away
        for stage in (Decide.name, Act.name)
        for away in open_circuits(stage, read_table_parts(installation.kafka, stage, TABLE).items())
    ]


def open_circuits(stage: str, rows: Iterable[tuple[tuple[int, bytes], bytes]]) -> list[AwaySystem]:
    """The open circuits of a stage. Each worker writes the state of a circuit under one of its partitions; the state
    that was written last counts.
    """
    last: dict[str, WrittenCircuit] = {}
    for (_, key), value in rows:
        written, name = WrittenCircuit.model_validate_json(value), key.decode()
        if name not in last or written.at > last[name].at:
            last[name] = written
    return [
        AwaySystem(stage, name, circuit.cause, _time(circuit.at), _time(circuit.open_until))
        for name, circuit in sorted(last.items())
        if circuit.open_until
    ]


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
