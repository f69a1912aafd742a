"""Lets waiting steps go on, earliest first, until every remaining step needs a resource whose gate is shut."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from nightdesk.processors.admission.gates import Shut
from nightdesk.processors.admission.queue import AdmissionQueue
from nightdesk.processors.admission.steps import Needs, WaitingStep

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Started(Generic[Outcome]):
    """The step starts: its gates are open, and it takes the resources that it needs."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Ended(Generic[Outcome]):
    """The step leaves the queue and takes nothing: it goes to a person, or its case ends."""

    outcome: Outcome


Judge = Callable[[WaitingStep], Shut | Started[Outcome] | Ended[Outcome]]


def admit(
    queue: AdmissionQueue, judge: Judge[Outcome], probe: WaitingStep | None = None
) -> Iterator[tuple[WaitingStep, Outcome]]:
    """Yields each step that leaves the queue, with the verdict of `judge`. `probe` is judged before all others.

    The caller must take the resources of a step before it asks for the next one, so that the next step is judged by
    what is left. If the caller stops half-way, the queue is not settled.
    """
    queue.shut.clear()
    queue.is_settled = False
    passed_by: set[Needs] = set()
    if probe is not None and not isinstance(verdict := judge(probe), Shut):
        yield queue.remove(probe.key), verdict.outcome
    while (step := _next(queue, passed_by)) is not None:
        verdict = judge(step)
        if isinstance(verdict, Shut):
            if verdict.resource not in step.needs.resources:
                raise ValueError(f"{step.key} does not need {verdict.resource}")
            queue.shut.setdefault(verdict.resource, verdict)
            passed_by.add(step.needs)
        elif isinstance(verdict, Started) and queue.shut_for(step.needs) is not None:
            passed_by.add(step.needs)  # an earlier step waits for a resource that this one would take
        else:
            yield queue.remove(step.key), verdict.outcome
    queue.is_settled = True


def _next(queue: AdmissionQueue, passed_by: set[Needs]) -> WaitingStep | None:
    """The next step to judge. Steps behind a shut gate are skipped, except those that may not wait for another day."""
    may_go = (step for step in queue.firsts() if step.needs not in passed_by and _may_ask(queue, step.needs))
    return min(may_go, key=lambda step: step.order, default=None)


def _may_ask(queue: AdmissionQueue, needs: Needs) -> bool:
    shut = queue.shut_for(needs)
    return shut is None or (shut.gate == "spent" and needs.ends_when_spent)
