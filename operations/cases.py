"""Lists cases by status, and reads the whole trace of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.waiting_steps import waits_of
from nightdesk.sinks.cases import STATUSES, ListedCase, cases
from nightdesk.sinks.model_calls import ModelCall, model_calls
from nightdesk.sinks.queries import story
from nightdesk.sinks.story import CaseStory, Story, WaitingStepStory

# The statuses of a case in the audit while one of its steps may wait before it is decided.
MAY_WAIT = frozenset({"running", "deferred", "waiting"})


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """A filter for cases; an empty field matches all. `limit` selects the newest."""

    since: datetime | None = None
    statuses: tuple[str, ...] = ()
    agent: str = ""
    limit: int = 50


def list_cases(installation: Installation, wanted: CaseFilter) -> list[ListedCase]:
    """Cases and rejected events, the newest first. Raises `Failure`."""
    since = wanted.since or datetime.fromtimestamp(0, UTC)
    with clickhouse(installation.clickhouse) as client:
        return cases(client, since, wanted.statuses, wanted.agent, wanted.limit)


def parse_statuses(text: str) -> tuple[str, ...]:
    """A list of statuses, separated by commas. Raises `Failure` for an unknown one."""
    wanted = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [status for status in wanted if status not in STATUSES]
    if unknown:
        raise Failure(
            f"there is no status {', '.join(unknown)}", f"They are {', '.join(STATUSES)}", FailureKind.INVALID
        )
    return wanted


def trace(installation: Installation, id_: str) -> Story:
    """Everything about a subject, an event, a case or a decision, with the steps that wait now. Raises `Failure` if
    nothing is known about it.
    """
    with clickhouse(installation.clickhouse) as client:
        found = story(client, id_)
    if found is None:
        found = _unrecorded(id_, _waits(installation, id_, ()))
    elif any(case.status in MAY_WAIT for case in found.cases):
        found = found.model_copy(update={"waits": _waits(installation, id_, found.cases)})
    if found is None:
        raise Failure(
            f"nothing is known of {id_!r}",
            "It may not have arrived yet: `nightdesk status` says how far behind the stages are",
            FailureKind.NOT_FOUND,
        )
    return found


def questions(installation: Installation, found: Story) -> list[ModelCall]:
    """The questions to models for the cases of a story, and their answers. Raises `Failure`."""
    shown = {case.case_id for case in found.cases}
    with clickhouse(installation.clickhouse) as client:
        return [call for call in model_calls(client, found.subject) if call.case_id in shown]


def _waits(installation: Installation, id_: str, cases: Iterable[CaseStory]) -> list[WaitingStepStory] | None:
    """The waiting steps; None if Kafka does not answer, because the audit is shown nevertheless."""
    try:
        return waits_of(installation, {id_, *(case.case_id for case in cases)})
    except Failure:
        return None


def _unrecorded(id_: str, waits: list[WaitingStepStory] | None) -> Story | None:
    """Waiting steps of events that are not in the audit yet."""
    if not waits:
        return None
    subject, *others = dict.fromkeys(wait.subject for wait in waits)
    return Story(asked=id_, subject=subject, events=[], cases=[], other_subjects=others, waits=waits)
