"""Each check finds what it is there for, in a night that was well until something was changed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from nightdesk.schemas.records import BudgetEntry
from nightdesk.schemas.topics import BUDGET
from tests.nights import checks, telling_checks
from tests.nights.night import load
from tests.nights.play import play
from tests.nights.world import Desk
from tests.simulator.log import PREFIX


def forget_an_event(desk: Desk) -> None:
    event = desk.events[0]
    desk.audits = {key: record for key, record in desk.audits.items() if record.event_id != event.id}


def forget_an_end(desk: Desk) -> None:
    key = next(key for key, record in desk.audits.items() if record.status == "completed")
    del desk.audits[key]


def end_twice(desk: Desk) -> None:
    ended = next(record for record in desk.audits.values() if record.status == "completed")
    desk.audits["another"] = ended.model_copy(update={"record_id": "another", "status": "refused"})


def wait_for_nothing(desk: Desk) -> None:
    ended = next(record for record in desk.audits.values() if record.status == "completed")
    waits = {"record_id": "another", "status": "waiting", "kind": "queued", "reason": ""}
    del desk.audits[ended.record_id]
    desk.audits["another"] = ended.model_copy(update=waits)


def answer_twice(desk: Desk) -> None:
    answer = next(effect for effect in desk.systems.effects if effect.handler == "reply.send")
    desk.systems.effects.append(replace(answer, key="another key"))


def spend_too_much(desk: Desk) -> None:
    put = desk.log.changelogs["budget", "ledger"][-1]
    assert put.value
    fact = orjson.loads(put.value) | {"state": "settled", "spent_microusd": 26_000_000}
    desk.log.changelogs["budget", "ledger"].append(put._replace(value=orjson.dumps(fact)))


def bill_more(desk: Desk) -> None:
    desk.provider.billed_microusd += 1


def overtake(desk: Desk) -> None:
    """The first two cases had asked in the other order."""
    tp = next(entry.tp for entry in desk.log.entries if entry.tp.topic == PREFIX + BUDGET.name)
    asked = [place for place, entry in enumerate(desk.log.entries) if entry.tp == tp and _reserves(desk, place)]
    first, second = asked[:2]
    desk.log.entries[first], desk.log.entries[second] = desk.log.entries[second], desk.log.entries[first]


def _reserves(desk: Desk, place: int) -> bool:
    entry = desk.log.codec.decode(BudgetEntry, desk.log.entries[place].value)
    return entry.kind == "reserve" and entry.step == 0


def test_who_waits_behind_a_case_of_the_same_customer_is_not_overtaken() -> None:
    asks = [checks.Movement("desk", case, "asks", case[0]) for case in ("a1", "a2", "b1")]
    leave = {case: checks.Movement("desk", case, "leaves") for case in ("a1", "a2", "b1")}
    decided = checks.Movement("desk", "a1", "is decided")
    assert checks._overtaking([*asks, leave["a1"], leave["b1"], decided, leave["a2"]]) == []
    assert checks._overtaking([*asks, leave["a1"], decided, leave["b1"], leave["a2"]]) == ["b1"]
    assert checks._overtaking([*asks, leave["b1"], leave["a1"]]) == ["b1"]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (forget_an_event, checks.nothing_is_lost),
        (forget_an_end, checks.every_case_has_one_end_or_waits_with_a_reason),
        (end_twice, checks.every_case_has_one_end_or_waits_with_a_reason),
        (wait_for_nothing, checks.every_case_has_one_end_or_waits_with_a_reason),
        (answer_twice, checks.nothing_is_done_twice),
        (spend_too_much, checks.no_day_is_overspent),
        (bill_more, checks.the_bill_is_in_the_books),
        (overtake, checks.first_come_first_served),
    ],
)
def test_a_check_finds_what_it_is_there_for(change: Callable[[Desk], None], check: checks.Check) -> None:
    desk = play(load("small")).desk
    assert checks.violations(desk) == []
    if check is checks.the_bill_is_in_the_books:
        desk.provider.billed_microusd = sum(record.cost_microusd for record in desk.audits.values())
    change(desk)
    assert list(check(desk))


# -- how people are told


def forget_a_message(desk: Desk) -> None:
    del desk.told.attempts[0]


def tell_again(desk: Desk) -> None:
    first = desk.told.attempts[0]
    desk.told.attempts.append(replace(first, message=replace(first.message, key="another")))


def tell_twice(desk: Desk) -> None:
    desk.told.attempts.append(desk.told.attempts[0])


def lose_a_message(desk: Desk) -> None:
    oncall = next(number for number, attempt in enumerate(desk.told.attempts) if attempt.message.route == "oncall")
    desk.told.attempts[oncall] = replace(desk.told.attempts[oncall], taken=False)


def tell_too_early(desk: Desk) -> None:
    first = desk.told.attempts[0]
    split = replace(first.message, key="another", count=1)
    desk.told.attempts[0] = replace(first, message=replace(first.message, count=first.message.count - 1))
    desk.told.attempts.insert(1, replace(first, at=first.at + timedelta(seconds=20), message=split))


def be_asleep(desk: Desk) -> None:
    ops = desk.night.routes["ops"].model_copy(update={"quiet_hours": "18:00-20:00"})
    desk.night = desk.night.model_copy(update={"routes": {**desk.night.routes, "ops": ops}})


def leave_it_to_nobody(desk: Desk) -> None:
    desk.told.attempts = [attempt for attempt in desk.told.attempts if "not answered" not in attempt.message.title]


def close_nothing(desk: Desk) -> None:
    desk.told.closings.clear()


def close_what_nobody_got(desk: Desk) -> None:
    first = desk.told.attempts[0]
    desk.told.closings.append(replace(first, message=replace(first.message, key="another")))


def say_nothing_of_it(desk: Desk) -> None:
    desk.audits = {key: record for key, record in desk.audits.items() if record.kind != "notified"}


def say_that_somebody_was_told(desk: Desk) -> None:
    del desk.told.attempts[0]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (forget_a_message, telling_checks.each_class_is_told_once),
        (tell_again, telling_checks.each_class_is_told_once),
        (tell_twice, telling_checks.nobody_gets_a_message_twice),
        (lose_a_message, telling_checks.every_message_arrives),
        (tell_too_early, telling_checks.messages_are_batched),
        (be_asleep, telling_checks.quiet_hours_are_quiet),
        (leave_it_to_nobody, telling_checks.what_nobody_answers_reaches_the_next_route),
        (close_nothing, telling_checks.what_is_over_is_closed),
        (close_what_nobody_got, telling_checks.what_is_over_is_closed),
        (say_nothing_of_it, telling_checks.the_audit_says_who_was_told),
        (say_that_somebody_was_told, telling_checks.the_audit_says_who_was_told),
    ],
)
def test_a_check_of_telling_finds_what_it_is_there_for(change: Callable[[Desk], None], check: checks.Check) -> None:
    desk = play(load("small_told")).desk
    assert checks.violations(desk) == []
    change(desk)
    assert list(check(desk))
