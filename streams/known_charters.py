"""The charters of the topic `control`: every version that was applied, and the one in force for each agent.

Each version is compiled once. A running case keeps the version that it started with, so old versions stay. A promoted
version that this program cannot read does not silence its agent: the last one before it that can be read stays in
force, and the reports of the process say so.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from nightdesk.processors import routing
from nightdesk.processors.charter.compiled import CompiledCharter, compiled_from_json, restricted
from nightdesk.schemas.records import ControlCommand, UnreadableCharter
from nightdesk.streams.api import AsyncHandler
from nightdesk.streams.metrics import PROMOTED_UNREADABLE

# How long a stage waits for a charter that an earlier stage has already read.
WAIT_S = 5.0
WAIT_STEP_S = 0.05
# Invented names must not fill the memory.
GIVEN_UP_AT_MOST = 1000
REASON_CHARACTERS_AT_MOST = 500
# Errors of bytes that are no order, or of a charter that passes the checks but not the compiler.
UNREADABLE = (ValueError, TypeError, LookupError, RecursionError)


class CharterMissing(LookupError):
    """A case names a charter version that was never applied here."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """The version that new cases should use, and those that were in force before it, the latest first."""

    version: str
    before: tuple[str, ...] = ()


class KnownCharters:
    """Written by one thread, read by the loop."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], CompiledCharter] = {}
        self._unreadable: dict[tuple[str, str], str] = {}
        self._promoted: dict[str, Promotion] = {}
        # The agents whose promoted charter restricts cases of older versions, and the restricted versions.
        self._restricting: set[str] = set()
        self._restricted: dict[tuple[str, str, str], CompiledCharter] = {}
        self._current: tuple[CompiledCharter, ...] = ()
        self._watched: frozenset[str] = frozenset()
        self._reconsidering: frozenset[str] = frozenset()
        # Who applied a version, and who promoted it: by agent and version.
        self._put_in_force_by: dict[tuple[str, str], frozenset[str]] = {}
        self._given_up: set[tuple[str, str]] = set()

    def _note_person(self, command: ControlCommand) -> None:
        if command.kind in ("charter", "promote") and command.charter_version:
            of = (command.agent, command.charter_version)
            self._put_in_force_by[of] = self.put_in_force_by(*of) | {command.issued_by}

    def _add(self, agent: str, version: str, content: str) -> None:
        """Compile a version that was applied. Raises one of `UNREADABLE`."""
        if (agent, version) in self._compiled:
            return
        try:
            compiled = compiled_from_json(content)
        except UNREADABLE as error:
            # A new dictionary, because the loop may read the old one.
            self._unreadable = self._unreadable | {(agent, version): str(error)[:REASON_CHARACTERS_AT_MOST]}
            raise
        self._learn(agent, version, compiled)

    def _learn(self, agent: str, version: str, compiled: CompiledCharter) -> None:
        """A version can be used, and its events may cancel follow-ups and take decisions back."""
        # Under the name with which it was applied, because cases from an older program refer to it by that name.
        self._compiled[agent, version] = replace(compiled, version=version)
        self._unreadable = {name: why for name, why in self._unreadable.items() if name != (agent, version)}
        self._watched |= compiled.watched
        self._reconsidering |= compiled.reconsidering

    def _promote(self, order: ControlCommand) -> None:
        agent, known = order.agent, self.promotion(order.agent)
        if order.applies_to == "waiting":
            self._restricting.add(agent)
        # A program that does not name the oldest one names no versions before, either.
        before = order.before if order.oldest_program else (known.version, *known.before)
        self._promoted[agent] = Promotion(order.charter_version or "", before)
        if order.applies_to != "waiting":
            self._restricting.discard(agent)
        self._restricted = {name: found for name, found in self._restricted.items() if name[0] != agent}

    def _retire(self, order: ControlCommand) -> None:
        self._promoted[order.agent] = Promotion("", order.before)
        self._restricting.discard(order.agent)
        self._restricted = {name: found for name, found in self._restricted.items() if name[0] != order.agent}

    def _renew_current(self) -> None:
        found = (self.promoted(agent) for agent in list(self._promoted))
        self._current = tuple(routing.in_order(compiled for compiled in found if compiled is not None))
        for agent, promotion in self._promoted.items():
            PROMOTED_UNREADABLE.labels(agent=agent).set((agent, promotion.version) in self._unreadable)

    def current(self) -> tuple[CompiledCharter, ...]:
        """The charter in force of every agent, in the order in which an event is offered to them."""
        return self._current

    def is_applied(self, agent: str, version: str) -> bool:
        """Whether the version was ever applied, also if this program cannot read it."""
        return (agent, version) in self._compiled or (agent, version) in self._unreadable

    def promotion(self, agent: str) -> Promotion:
        """What was last promoted for an agent; without a version if that was nothing, or if it is retired."""
        return self._promoted.get(agent, Promotion(""))

    def promoted(self, agent: str) -> CompiledCharter | None:
        """The charter of an agent's new cases: the promoted one or, if this program cannot read that, the last one
        before it that it can.
        """
        promotion = self.promotion(agent)
        own = self._compiled.get((agent, promotion.version))
        if own is not None or not promotion.version:
            return own
        # A version that was not applied here is on its way; only one that was and cannot be read is replaced.
        if (agent, promotion.version) not in self._unreadable:
            return None
        found = (self._compiled.get((agent, version)) for version in promotion.before)
        return next((compiled for compiled in found if compiled is not None), None)

    def put_in_force_by(self, agent: str, version: str) -> frozenset[str]:
        """Who applied and who promoted the version. The log keeps the last one who applied each version, and of an
        agent the last promotion.
        """
        return self._put_in_force_by.get((agent, version), frozenset())

    def unreadable(self) -> tuple[UnreadableCharter, ...]:
        """The versions that this program cannot read, each with the version that is in force here in its place."""
        return tuple(
            UnreadableCharter(
                agent=agent,
                version=version,
                promoted=(is_promoted := self.promotion(agent).version == version),
                instead=used.version if is_promoted and (used := self.promoted(agent)) else "",
                reason=reason,
            )
            for (agent, version), reason in sorted(self._unreadable.items())
        )

    def is_watched(self, event_type: str) -> bool:
        """Whether an event of this type may cancel a follow-up by any version of any charter, because cases keep their
        version.
        """
        return event_type in self._watched

    def is_reason_to_reconsider(self, event_type: str) -> bool:
        """Whether an event of this type may take back a decision that waits for a person, by any version of any
        charter.
        """
        return event_type in self._reconsidering

    def charter(self, agent: str, version: str) -> CompiledCharter:
        """The version that a case started with. Raises `CharterMissing` at once; `wait_for` waits."""
        known = self.known(agent, version)
        if known is None:
            raise CharterMissing(self._why_missing(agent, version))
        return known

    def _why_missing(self, agent: str, version: str) -> str:
        if (agent, version) in self._unreadable:
            return (
                f"this program cannot read charter {version} of {agent}: install the version of Nightdesk that it was"
                " applied with, then replay the dead letter"
            )
        return (
            f"charter {version} of {agent} was never applied here: apply that version"
            " (`nightdesk charter apply DIR`), then replay the dead letter"
        )

    def wait_for(self, *names: tuple[str, str]) -> AsyncHandler | None:
        """A handler that waits a moment for missing charters (agent, version) that may arrive; None if none
        is missing.
        """
        missing = [name for name in names if name not in self._compiled and name not in self._given_up]
        return partial(self._come, missing) if missing else None

    async def _come(self, missing: Sequence[tuple[str, str]]) -> None:
        """Return when all have arrived, or after `WAIT_S`. Later calls do not wait for them again."""
        deadline = time.monotonic() + WAIT_S
        while any(name not in self._compiled for name in missing):
            if time.monotonic() >= deadline:
                self._given_up.update(missing[: max(0, GIVEN_UP_AT_MOST - len(self._given_up))])
                return
            await asyncio.sleep(WAIT_STEP_S)

    async def charter_soon(self, agent: str, version: str) -> CompiledCharter:
        """Like `charter`, for an async handler: while its record waits for an unknown charter, others continue."""
        known = self.known(agent, version)
        if known is not None:
            return known
        wait = self.wait_for((agent, version))
        if wait is not None:
            await wait()
        return self.charter(agent, version)

    def known(self, agent: str, version: str) -> CompiledCharter | None:
        """The charter, if its order has been read; restricted if the promoted charter applies to waiting cases."""
        own = self._compiled.get((agent, version))
        if own is None or agent not in self._restricting:
            return own
        promoted = self.promoted(agent)
        if promoted is None or promoted is own:
            return own
        found = self._restricted.get((agent, version, promoted.version))
        if found is None:
            found = self._restricted[agent, version, promoted.version] = restricted(own, promoted)
        return found

    def as_restricted(self, agent: str, version: str, by: str) -> CompiledCharter | None:
        """The version as the charter `by` restricts it (empty: none); None if one of them is unknown."""
        own, stricter = self._compiled.get((agent, version)), self._compiled.get((agent, by))
        return restricted(own, stricter) if own and stricter else None if by else own
