"""The queue of one agent. Adding a step, removing one and finding the next take O(log n), and choosing a probe O(n).

Steps with equal needs wait in one lane, in order, so it is enough to look at the first of each lane. There are few
lanes: an agent has one for each capped event type, times what else a step may need.

The first steps of one subject's cases keep their order, in whatever lanes they are: only the earliest of them stands in
its lane, and the next enters its own lane when that one is gone.
"""

import heapq
from collections.abc import Iterator, Mapping

from nightdesk.processors.admission.gates import Shut
from nightdesk.processors.admission.steps import Needs, QueuePlace, WaitingStep

Line = list[tuple[QueuePlace, str]]
# What a step waits for if no gate holds it, but only its place in the queue.
EARLIER_STEPS = "earlier steps"


class AdmissionQueue:
    """The waiting steps of one agent, and the gates that the last pass found shut, by resource.

    `is_settled` says that the pass was complete: every waiting step needs a resource whose gate is shut.
    """

    def __init__(self) -> None:
        self.shut: dict[str, Shut] = {}
        self.is_settled = True
        self._steps: dict[str, WaitingStep] = {}
        # Heaps; an entry whose step is gone, or is not its subject's first any more, is dropped when it comes up.
        self._lanes: dict[Needs, Line] = {}
        self._subjects: dict[tuple[str, int], Line] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._counts: dict[Needs, int] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def __contains__(self, key: str) -> bool:
        return key in self._steps

    # -- steps come and go

    def add(self, step: WaitingStep, shut: Shut | None = None) -> None:
        """Add a step at its place; `shut` is the gate that holds it, if that is known. Raises `ValueError` for a key
        that is in the queue already.
        """
        if step.key in self._steps:
            raise ValueError(f"{step.key} waits already")
        if shut is None:
            self.is_settled = False
        elif shut.resource in step.needs.resources:
            self.shut.setdefault(shut.resource, shut)
        self._steps[step.key] = step
        self._counts[step.needs] = self._counts.get(step.needs, 0) + 1
        heapq.heappush(self._deadlines, (step.until, step.key))
        line = self._line_of(step)
        if line is not None:
            heapq.heappush(line, (step.order, step.key))
        if line is None or line[0][1] == step.key:
            self._enter_lane(step)

    def remove(self, key: str) -> WaitingStep:
        """Remove a step. Raises `KeyError` for one that is not in the queue."""
        step = self._steps.pop(key)
        self._counts[step.needs] -= 1
        if not self._counts[step.needs]:
            del self._counts[step.needs]
            self._lanes.pop(step.needs, None)
        self._let_subject_go_on(step)
        return step

    def overdue(self, now: float) -> Iterator[WaitingStep]:
        """Remove and return the steps whose time is over at `now` (in the agent's time), longest overdue first."""
        while self._deadlines and self._deadlines[0][0] <= now:
            until, key = heapq.heappop(self._deadlines)
            step = self._steps.get(key)
            if step is not None and step.until == until:
                yield self.remove(key)

    # -- what waits

    def firsts(self) -> Iterator[WaitingStep]:
        """The first step of each lane that has one, in no order."""
        for needs in list(self._lanes):
            lane = self._lanes[needs]
            while lane and not self._stands_in_lane(lane[0][1]):
                heapq.heappop(lane)
            if lane:
                yield self._steps[lane[0][1]]

    def least_charged(self, resource: str) -> WaitingStep | None:
        """Of the steps that need the resource and may go first of their subject, the one whose unanswered questions
        have cost the least, and of those the earliest.
        """
        found = (s for s in self._steps.values() if resource in s.needs.resources and self._stands_in_lane(s.key))
        return min(found, key=lambda step: (step.unanswered_microusd, step.order), default=None)

    @property
    def counts(self) -> Mapping[Needs, int]:
        """How many steps wait, by what they need."""
        return self._counts

    @property
    def next_deadline(self) -> float:
        """When the next step is overdue, or earlier, in the agent's time; infinite if none waits."""
        return self._deadlines[0][0] if self._deadlines else float("inf")

    # -- shut gates

    def shut_for(self, needs: Needs) -> Shut | None:
        """A gate that holds steps with these needs. A gate that only another day opens comes first."""
        found = [self.shut[resource] for resource in sorted(needs.resources & self.shut.keys())]
        return max(found, key=lambda shut: shut.gate == "spent", default=None)

    def keeps(self, newcomer: WaitingStep) -> Shut | None:
        """The gate that keeps a new step behind the waiting ones; None if it takes nothing that one of them
        waits for.
        """
        if not self._steps:
            return None
        shut = self.shut_for(newcomer.needs)
        if shut is None and (not self.is_settled or self._keeps_subject(newcomer)):
            return Shut("order", EARLIER_STEPS, "earlier steps go first")
        return shut

    @property
    def opens_at(self) -> float:
        """When the first of the shut gates opens by itself (epoch seconds); infinite if none does."""
        return min((shut.opens_at for shut in self.shut.values() if shut.opens_at), default=float("inf"))

    # -- subjects

    def _keeps_subject(self, step: WaitingStep) -> bool:
        return step.is_first and (step.subject, step.order.rank) in self._subjects

    def _line_of(self, step: WaitingStep) -> Line | None:
        """The key of the line for its subject and rank; None for a later step, because its case has begun."""
        return self._subjects.setdefault((step.subject, step.order.rank), []) if step.is_first else None

    def _stands_in_lane(self, key: str) -> bool:
        step = self._steps.get(key)
        if step is None:
            return False
        line = self._line_of(step)
        return line is None or line[0][1] == key

    def _enter_lane(self, step: WaitingStep) -> None:
        heapq.heappush(self._lanes.setdefault(step.needs, []), (step.order, step.key))

    def _let_subject_go_on(self, gone: WaitingStep) -> None:
        line = self._line_of(gone)
        if line is None:
            return
        was_first = line[0][1] == gone.key
        while line and line[0][1] not in self._steps:
            heapq.heappop(line)
        if not line:
            del self._subjects[gone.subject, gone.order.rank]
        elif was_first:
            self._enter_lane(self._steps[line[0][1]])
