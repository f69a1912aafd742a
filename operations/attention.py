"""Reads what needs a person now, with few short queries, because a page that many people keep open asks again and
again.

The audit answers, and may be a second or two behind; only the progress of the stages comes from the broker. `status`
reports more, but reads whole topics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nightdesk.messaging.failures import Failure
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.stage_status import StageStatus, stage_status
from nightdesk.sinks.approvals import Waiting, waiting
from nightdesk.sinks.attention import OpenLetters, open_letters
from nightdesk.sinks.halts import every_halt
from nightdesk.sinks.story import Halt


@dataclass(frozen=True, slots=True)
class NeedsAPerson:
    """The `waiting` decisions, the one that expires first at the top, without the other cases and events of their
    subjects. `stages` is empty if the broker does not answer, and `problem` says why.
    """

    waiting: Sequence[Waiting]
    letters: Sequence[OpenLetters]
    halts: Sequence[Halt]
    stages: Mapping[str, StageStatus]
    problem: str


def needs_a_person(installation: Installation) -> NeedsAPerson:
    """What needs a person now. Raises `Failure` if the audit does not answer."""
    with clickhouse(installation.clickhouse) as client:
        found = sorted(waiting(client, beside=False), key=lambda one: one.expires_at)
        letters, halted = open_letters(client), every_halt(client)
    try:
        return NeedsAPerson(found, letters, halted, stage_status(installation.kafka), "")
    except Failure as failure:
        return NeedsAPerson(found, letters, halted, {}, str(failure))
