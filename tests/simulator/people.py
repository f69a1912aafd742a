"""Persons who approve, and persons who give orders.

The world calls it when somebody is asked, and for the drawn orders. A person answers at once, late, wrongly, twice or
never; an order reaches each process at a different time.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Literal

from nightdesk.schemas.approval_details import ApprovalRequestDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import ApprovalReply, AuditRecord, ControlCommand
from nightdesk.streams.control import Control
from tests.simulator import charters
from tests.streams.stages.stage_harness import Clock, order

WRONG = "0" * 64
VERDICTS: tuple[Literal["approve", "reject", "edit"], ...] = ("approve", "reject", "edit")
HALTS = ("pause", "stop_all")


@dataclass(slots=True)
class Approvers:
    """They see the audit records that ask, each of them once."""

    rng: Random
    clock: Clock
    asked: set[str] = field(default_factory=set)

    def answers(self, record: AuditRecord) -> list[tuple[float | None, ApprovalReply]]:
        """Their answers, each with its time; None for any time."""
        shown = read(ApprovalRequestDetail, record.detail)
        if shown is None or record.record_id in self.asked:
            return []
        self.asked.add(record.record_id)
        count = self.rng.choices((0, 1, 2), (15, 65, 20))[0]
        return [(self._when(shown), self._answer(record, shown.payload_sha256)) for _ in range(count)]

    def _when(self, shown: ApprovalRequestDetail) -> float | None:
        """Some answer at the moment at which the question expires."""
        late = self.rng.random() < 0.2
        return shown.expires_at.timestamp() if late else None

    def _answer(self, record: AuditRecord, payload_sha256: str) -> ApprovalReply:
        verdict = self.rng.choices(VERDICTS, (60, 20, 20))[0]
        return ApprovalReply(
            decision_id=str(record.decision_id),
            subject=record.subject,
            verdict=verdict,
            payload_sha256=WRONG if self.rng.random() < 0.15 else payload_sha256,
            parameters='{"amount":7.0}' if verdict == "edit" and record.action == "refund" else None,
            person=self.rng.choice(("ann", "bob")),
            time=self.clock(),
        )


@dataclass(slots=True)
class Orders:
    """The control topic: which charter is promoted, which agents are stopped."""

    variant: charters.Variant
    given: list[ControlCommand] = field(default_factory=list)

    def __post_init__(self) -> None:
        version = charters.compiled(self.variant).version
        self.given.append(order("promote", charters.AGENT, "desk/promoted", charter_version=version))


@dataclass(slots=True)
class Obedience:
    """The orders that one process knows: all that existed when it began, then one after the other."""

    orders: Orders
    control: Control = field(default_factory=Control)
    heard: int = 0

    def __post_init__(self) -> None:
        compiled = charters.compiled(self.orders.variant)
        # What an order of kind `charter` comes to, without compiling it again for each process.
        self.control._learn(compiled.agent, compiled.version, compiled)
        for _ in self.orders.given:
            self.hear()

    @property
    def unheard(self) -> int:
        return len(self.orders.given) - self.heard

    def hear(self) -> None:
        """Read the next order."""
        if self.heard < len(self.orders.given):
            self.control.apply(self.orders.given[self.heard])
            self.heard += 1

    def halted(self, agent: str, *, escalates: bool) -> bool:
        """Whether the process knows that it may not act, recomputed from the orders. An escalation waits only where all
        are stopped.
        """
        last = {given.key: given for given in self.orders.given[: self.heard]}
        if escalates:
            return "*" in last and last["*"].kind == "stop_all"
        return any(key in ("*", agent) and given.kind in HALTS for key, given in last.items())
