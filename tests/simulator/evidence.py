"""What is left of a world when it is at rest, read from the log alone. `checks.py` judges it."""

from collections import defaultdict
from functools import cached_property
from typing import Any

import orjson

from schemas import ids
from schemas.records import ApprovalReply, AuditRecord, BudgetEntry, Case, Decision, Event, Permit, Reminder
from schemas.topics import ACT, APPROVALS, AUDIT, BUDGET, DECIDE, INGEST, LATER, PERMITS
from tests.simulator import charters
from tests.simulator.actions import Deed
from tests.simulator.world import World

UNDO_FAILED = "UndoFailed"
ENDS = frozenset({"completed", "escalated", "refused", "failed"})


class Evidence:
    """The log in the order in which it came, sorted by what it is about. The first record of an id counts."""

    def __init__(self, world: World) -> None:
        self.world = world
        log = world.log
        self.events = [event for _, event in log.said(INGEST, Event)]
        self.entries = [entry for _, entry in log.said(BUDGET, BudgetEntry)]
        self.cases = [case for _, case in log.said(DECIDE, Case)]
        self.decisions = list(log.said(ACT, Decision))
        self.replies = list(log.said(APPROVALS, ApprovalReply))
        self.reminders = list(log.said(LATER, Reminder))
        self.permits = [permit for _, permit in log.said(PERMITS, Permit)]
        self.audits = [record for _, record in log.said(AUDIT, AuditRecord)]

    @cached_property
    def wanted(self) -> dict[str, Event]:
        """The events that the agent takes, by the case that each begins."""
        events = self.world.scenario.wanted.values()
        return {ids.case_id(charters.AGENT, event.source, event.id): event for event in events}

    @cached_property
    def of_case(self) -> dict[str, list[AuditRecord]]:
        found: dict[str, list[AuditRecord]] = defaultdict(list)
        for record in self.audits:
            if record.case_id is not None:
                found[record.case_id].append(record)
        return found

    def ends(self, case_id: str) -> set[tuple[str, str]]:
        """Ids and statuses of the lines that say how the case ended. `decided` ends it only by refusing; a letter about
        what could not be taken back comes beside the end.
        """
        return {
            (record.record_id, record.status)
            for record in self.of_case.get(case_id, ())
            if record.kind in ("acted", "refused", "decided", "dead_letter") and record.status in ENDS
            if UNDO_FAILED not in record.reason
        }

    @cached_property
    def outcomes(self) -> dict[Deed, set[str]]:
        """What the audit says of each step that was to change something."""
        found: dict[Deed, set[str]] = defaultdict(set)
        for record in self.audits:
            if record.kind == "acted":
                for outcome in orjson.loads(record.detail)["outcomes"]:
                    found[Deed(outcome["handler"], record.event_id, record.step)].add(outcome["status"])
        return found

    @cached_property
    def not_taken_back(self) -> set[str | None]:
        """Decisions of which an undo failed."""
        return {
            record.decision_id for record in self.audits if record.kind == "acted" and '"undo_failed"' in record.detail
        }

    @cached_property
    def facts(self) -> list[tuple[bytes, dict[str, Any]]]:
        """The ledger's changelog, as it came to be. What was forgotten when its day was over still counts."""
        changelog = self.world.log.changelogs["budget", "ledger"]
        return [(put.key, orjson.loads(put.value)) for put in changelog if put.value is not None]

    @cached_property
    def deferred(self) -> set[str | None]:
        return {record.case_id for record in self.audits if record.kind == "deferred"}
