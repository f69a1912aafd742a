"""Those who approve, and those who give orders.

Called by the world when somebody is asked, and by the drawn orders. A person answers at once, late, wrongly, twice or
never; an order reaches each process in its own time.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Literal

import orjson

from schemas.records import ApprovalReply, AuditRecord, ControlCommand
from streams.charters import Control
from streams.stages.approvals import EXPIRES_AFTER
from tests.simulator import charters
from tests.streams.stages.bench import Clock, order

WRONG = "0" * 64
VERDICTS: tuple[Literal["approve", "reject", "edit"], ...] = ("approve", "reject", "edit")
HALTS = ("pause", "stop_all")


@dataclass(slots=True)
class Approvers:
    """They see the audit line that asks, and each decision once."""

    rng: Random
    clock: Clock
    asked: set[str] = field(default_factory=set)

    def answers(self, record: AuditRecord) -> list[tuple[float | None, ApprovalReply]]:
        """What they answer, each with the time when they do; None for whenever it comes."""
        if record.decision_id is None or record.decision_id in self.asked:
            return []
        self.asked.add(record.decision_id)
        shown = orjson.loads(record.detail)
        count = self.rng.choices((0, 1, 2), (15, 65, 20))[0]
        return [(self._when(), self._answer(record, str(shown["payload_sha256"]))) for _ in range(count)]

    def _when(self) -> float | None:
        """Some answer in the moment in which the question expires."""
        late = self.rng.random() < 0.2
        return (self.clock() + EXPIRES_AFTER).timestamp() if late else None

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
    """The control topic: who is promoted, who may not act."""

    variant: charters.Variant
    given: list[ControlCommand] = field(default_factory=list)

    def __post_init__(self) -> None:
        version = charters.compiled(self.variant).version
        self.given.append(order("promote", charters.AGENT, "desk/promoted", charter_version=version))


@dataclass(slots=True)
class Obedience:
    """What one process has heard of the orders: all there were when it began, then one after the other."""

    orders: Orders
    control: Control = field(default_factory=Control)
    heard: int = 0

    def __post_init__(self) -> None:
        compiled = charters.compiled(self.orders.variant)
        # What an order of kind `charter` comes to, without compiling it again for each process.
        self.control._compiled[compiled.agent, compiled.version] = compiled
        for _ in self.orders.given:
            self.hear()

    @property
    def unheard(self) -> int:
        return len(self.orders.given) - self.heard

    def hear(self) -> None:
        """The next order."""
        if self.heard < len(self.orders.given):
            self.control.obey(self.orders.given[self.heard])
            self.heard += 1

    def halted(self, agent: str) -> bool:
        """Whether it knows that it may not act, recomputed from the orders themselves."""
        last = {given.key: given for given in self.orders.given[: self.heard]}
        return any(key in ("*", agent) and given.kind in HALTS for key, given in last.items())
