"""The result of an idle world, read only from the log. `checks.py` judges it."""

from collections import defaultdict
from functools import cached_property
from typing import Any

import orjson

from nightdesk.processors.playbook.failure import ACTION_FAILED, ESCALATION_FAILED, UNDO_FAILED
from nightdesk.schemas import ids
from nightdesk.schemas.records import ApprovalReply, AuditRecord, BudgetEntry, Case, Decision, Event, RateRequest, Timer
from nightdesk.schemas.topics import ACT, APPROVALS, AUDIT, BUDGET, DECIDE, INGEST, RATE_REQUESTS, TIMERS
from tests.schemas.details import outcomes_of
from tests.simulator import charters
from tests.simulator.actions import Deed
from tests.simulator.world import World

ENDS = frozenset({"completed", "escalated", "refused", "failed"})


def is_of_a_decision(letter: AuditRecord) -> bool:
    """Whether it is the dead letter of a decision that failed or could not be undone."""
    errors = (ACTION_FAILED, ESCALATION_FAILED, UNDO_FAILED)
    return letter.kind == "dead_letter" and any(error in letter.reason for error in errors)


class Evidence:
    """The log in its order, sorted by what the records are about. The first record of an id counts."""

    def __init__(self, world: World) -> None:
        self.world = world
        log = world.log
        self.events = [event for _, event in log.said(INGEST, Event)]
        self.entries = [entry for _, entry in log.said(BUDGET, BudgetEntry)]
        self.cases = [case for _, case in log.said(DECIDE, Case)]
        self.decisions = list(log.said(ACT, Decision))
        self.replies = list(log.said(APPROVALS, ApprovalReply))
        self.reminders = list(log.said(TIMERS, Timer))
        self.permits = [permit for _, permit in log.said(RATE_REQUESTS, RateRequest)]
        self.audits = [record for _, record in log.said(AUDIT, AuditRecord)]

    @cached_property
    def wanted(self) -> dict[str, Event]:
        """The events that the agent accepts, by the case that each begins."""
        events = self.world.scenario.wanted.values()
        return {ids.case_id(charters.AGENT, event.source, event.id, event.subject): event for event in events}

    @cached_property
    def failed(self) -> set[str | None]:
        """Decisions that failed, and nobody got the case."""
        return {record.decision_id for record in self.audits if record.kind == "acted" and record.status == "failed"}

    @cached_property
    def of_case(self) -> dict[str, list[AuditRecord]]:
        found: dict[str, list[AuditRecord]] = defaultdict(list)
        for record in self.audits:
            if record.case_id is not None:
                found[record.case_id].append(record)
        return found

    def ends(self, case_id: str) -> set[tuple[str, str]]:
        """Ids and statuses of the records that end the case. `decided` ends it only by refusing; a dead letter about
        what could not be done or undone comes in addition to the end.
        """
        return {
            (record.record_id, record.status)
            for record in self.of_case.get(case_id, ())
            if record.kind in ("acted", "refused", "decided", "dead_letter") and record.status in ENDS
            if not is_of_a_decision(record)
        }

    @cached_property
    def outcomes(self) -> dict[Deed, set[str]]:
        """What the audit says of each step that was to change something."""
        found: dict[Deed, set[str]] = defaultdict(set)
        for record in self.audits:
            if record.kind == "acted":
                for outcome in outcomes_of(record):
                    found[Deed(outcome.handler, record.event_id, record.step)].add(outcome.status)
        return found

    @cached_property
    def not_taken_back(self) -> set[str | None]:
        """Decisions of which an undo failed."""
        return {
            record.decision_id for record in self.audits if record.kind == "acted" and '"undo_failed"' in record.detail
        }

    @cached_property
    def facts(self) -> list[tuple[bytes, dict[str, Any]]]:
        """The ledger's changelog in order. A fact that was deleted when its day was over still counts."""
        changelog = self.world.log.changelogs["budget", "ledger"]
        return [(put.key, orjson.loads(put.value)) for put in changelog if put.value is not None]

    @cached_property
    def waiting(self) -> dict[int, set[bytes]]:
        """The rows that are left of steps that waited."""
        found: dict[int, set[bytes]] = defaultdict(set)
        for put in self.world.log.changelogs["budget", "waiting"]:
            (found[put.partition].discard if put.value is None else found[put.partition].add)(put.key)
        return found
