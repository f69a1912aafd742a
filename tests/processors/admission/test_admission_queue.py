"""First come, first served: whoever needs what an earlier step waits for goes on after it, and nobody is forgotten."""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from nightdesk.processors.admission import (
    GATES,
    AdmissionQueue,
    Ended,
    Needs,
    QueuePlace,
    Shut,
    Started,
    WaitingStep,
    admit,
)
from tests.effort import examples

RESOURCES = ("day", "event", "rate")
NEEDS = (
    Needs(frozenset({"day"})),
    Needs(frozenset({"day", "event"})),
    Needs(frozenset({"day", "rate"})),
    Needs(frozenset({"day", "event", "rate"})),
    Needs(frozenset({"rate"})),
    Needs(frozenset()),
)


def step(number: int, needs: Needs = NEEDS[0], *, subject: str = "", rank: int = 0, until: float = 1e9) -> WaitingStep:
    return WaitingStep(
        key=f"k-{number}",
        needs=needs,
        order=QueuePlace(rank, number),
        subject=subject or f"s-{number}",
        until=until,
        amount_microusd=1,
        event_type="e",
        charter_version="v",
        is_first=True,
        begins=True,
    )


class Waits(RuleBasedStateMachine):
    """Resources are counted: a step takes one of each that it needs, and gives it back later. The reference is a list
    in order, that is gone through from its beginning each time.
    """

    running: Bundle[WaitingStep] = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.queue = AdmissionQueue()
        self.room = dict.fromkeys(RESOURCES, 2)
        self.spent: set[str] = set()
        self.reference: list[WaitingStep] = []
        self.number = 0
        self.judged = 0

    @rule(
        target=running,
        needs=st.sampled_from(NEEDS),
        subject=st.sampled_from(["", "", "a", "b"]),
        rank=st.sampled_from([0, 0, 0, -1]),
    )
    def comes(self, needs: Needs, subject: str, rank: int) -> MultipleResults[WaitingStep]:
        self.number += 1
        newcomer = step(self.number, needs, subject=subject, rank=rank, until=self.number + 50.0)
        kept_by = self.queue.keeps(newcomer)
        verdict = self._judge(newcomer)
        if kept_by is None and isinstance(verdict, Started):
            assert self._may_start(newcomer, self.reference), f"{newcomer} overtook {self.reference}"
            self._take(newcomer)
            return multiple(newcomer)
        self.queue.add(newcomer, kept_by or (verdict if isinstance(verdict, Shut) else None))
        self.reference.append(newcomer)
        return multiple()

    @rule(one=consumes(running))
    def ends(self, one: WaitingStep) -> None:
        for resource in one.needs.resources:
            self.room[resource] += 1

    @rule(resource=st.sampled_from(RESOURCES), more=st.integers(-1, 2))
    def room_changes(self, resource: str, more: int) -> None:
        self.room[resource] += more

    @rule(target=running, at_most=st.sampled_from([1, 2, 100]))
    def a_pass(self, at_most: int) -> MultipleResults[WaitingStep]:
        """What it lets go on is what a person would who goes through the list in order."""
        started = []
        for going_on, _ in admit(self.queue, self._judge):
            assert self._may_start(going_on, self.reference)
            self.reference.remove(going_on)
            self._take(going_on)
            started.append(going_on)
            if len(started) == at_most:
                break
        return multiple(*started)

    @rule()
    def time_is_over_for_the_oldest(self) -> None:
        now = self.number - 30.0
        over = {one.key for one in self.queue.overdue(now)}
        assert over == {one.key for one in self.reference if one.until <= now}
        self.reference = [one for one in self.reference if one.key not in over]

    @invariant()
    def nobody_is_forgotten(self) -> None:
        assert len(self.queue) == len(self.reference)
        assert all(one.key in self.queue for one in self.reference)
        assert sum(self.queue.counts.values()) == len(self.reference)

    @invariant()
    def whoever_waits_in_a_settled_queue_is_kept_by_a_gate_or_a_subject(self) -> None:
        if self.queue.is_settled:
            subjects: set[tuple[str, int]] = set()
            for one in sorted(self.reference, key=lambda one: one.order):
                place = (one.subject, one.order.rank)
                assert place in subjects or self.queue.shut_for(one.needs) is not None, one
                subjects.add(place)

    def teardown(self) -> None:
        """With room for all, all go on, in order."""
        self.room = dict.fromkeys(RESOURCES, 10**6)
        order = [going_on for going_on, _ in admit(self.queue, self._judge)]
        assert order == sorted(self.reference, key=lambda one: one.order)
        assert len(self.queue) == 0

    # -- how

    def _judge(self, one: WaitingStep) -> Shut | Started[None] | Ended[None]:
        self.judged += 1
        missing = [resource for resource in sorted(one.needs.resources) if self.room[resource] <= 0]
        return Shut("held", missing[0], "no room") if missing else Started(None)

    def _may_start(self, one: WaitingStep, waiting: list[WaitingStep]) -> bool:
        """No earlier step waits for a resource that this one takes and that there is none of."""
        for earlier in waiting:
            if earlier.order < one.order and earlier is not one:
                same_subject = (earlier.subject, earlier.order.rank) == (one.subject, one.order.rank)
                short = [resource for resource in earlier.needs.resources if self.room[resource] <= 0]
                if same_subject or (short and set(short[:1]) & one.needs.resources and len(short) == 1):
                    return False
        return True

    def _take(self, one: WaitingStep) -> None:
        for resource in one.needs.resources:
            self.room[resource] -= 1


def test_first_come_first_served() -> None:
    run_state_machine_as_test(Waits, settings=settings(max_examples=examples(150), stateful_step_count=40))


def _filled(count: int, lanes: int = 3) -> AdmissionQueue:
    queue = AdmissionQueue()
    for number in range(count):
        queue.add(step(number, NEEDS[number % lanes], subject=f"s-{number % 100}"), Shut("spent", "day", "", 9.0))
    return queue


@pytest.mark.parametrize("count", [100, 10_000])
def test_a_look_at_a_shut_gate_costs_the_same_however_many_wait(count: int) -> None:
    queue, judged = _filled(count), list[str]()

    def judge(one: WaitingStep) -> Shut:
        judged.append(one.key)
        return Shut("spent", "day", "", 9.0)

    assert list(admit(queue, judge)) == []
    assert len(judged) == 1, "all need the day's money"
    assert len(queue) == count


def test_whoever_goes_on_is_judged_once() -> None:
    queue, judged = _filled(10_000), list[str]()

    def judge(one: WaitingStep) -> Started[None]:
        judged.append(one.key)
        return Started(None)

    assert len(list(admit(queue, judge))) == len(judged) == 10_000


def test_a_lane_that_does_not_wait_for_another_day_is_judged_behind_a_spent_day_and_takes_nothing() -> None:
    queue = AdmissionQueue()
    queue.add(step(1))
    queue.add(step(2, Needs(frozenset({"day"}), ends_when_spent=True)))
    queue.add(step(3, Needs(frozenset({"day"}), ends_when_spent=True)))
    verdicts: dict[str, Shut | Started[str] | Ended[str]] = {
        "k-1": Shut("spent", "day", ""),
        "k-2": Ended("escalated"),
        "k-3": Started("small enough"),
    }
    assert [outcome for _, outcome in admit(queue, lambda one: verdicts[one.key])] == ["escalated"]
    assert "k-3" in queue, "it would take what the first one waits for"


def test_a_look_that_is_left_off_leaves_a_queue_behind_which_everybody_waits() -> None:
    queue = _filled(5, lanes=1)
    next(iter(admit(queue, lambda one: Started(None))))
    assert not queue.is_settled
    kept_by = queue.keeps(step(9, NEEDS[5]))
    assert kept_by is not None
    assert kept_by.gate == "order"


def test_an_urgent_case_does_not_wait_behind_its_subject() -> None:
    queue = AdmissionQueue()
    queue.add(step(1, NEEDS[1], subject="a"), Shut("spent", "event", ""))
    assert queue.keeps(step(2, NEEDS[0], subject="a")) is not None
    assert queue.keeps(step(3, NEEDS[0], subject="a", rank=-1)) is None


def test_a_gate_names_a_resource_that_the_step_needs() -> None:
    queue = _filled(1)
    with pytest.raises(ValueError, match="does not need rate"):
        list(admit(queue, lambda _: Shut("rate", "rate", "")))


def test_nobody_waits_twice() -> None:
    queue = _filled(1)
    with pytest.raises(ValueError, match="waits already"):
        queue.add(step(0))


def test_each_gate_says_what_it_waits_for_and_what_opens_it() -> None:
    assert all(gate.waits_for and gate.opened_by for gate in GATES.values())
