"""The state that follows from the orders so far."""

import asyncio
import threading
from typing import NoReturn

import pytest

from nightdesk.schemas.codec import Codec, RegistryUnavailable
from nightdesk.schemas.records import ControlCommand
from nightdesk.streams import known_charters as charters
from nightdesk.streams.control import Control
from nightdesk.streams.control_records import apply_record
from nightdesk.streams.known_charters import CharterMissing
from nightdesk.streams.metrics import PROMOTED_UNREADABLE
from tests.processors.examples import compiled
from tests.streams.stages.stage_harness import CODEC, in_force, order

CHARTER = compiled()
CHANGED = compiled(("confidence: 0.75", "confidence: 0.85"))


def _applied(which: object = CHARTER) -> ControlCommand:
    version, content = which.version, which.charter.to_json()  # type: ignore[attr-defined]
    return order("charter", "desk", f"desk/{version}", charter=content, charter_version=version)


def _promoted(version: str) -> ControlCommand:
    return order("promote", "desk", "desk/promoted", charter_version=version)


def test_a_charter_that_was_only_applied_takes_nothing() -> None:
    control = Control()
    control.apply(_applied())
    assert control.current() == ()
    control.apply(_promoted(CHARTER.version))
    assert [compiled_.version for compiled_ in control.current()] == [CHARTER.version]


def test_orders_may_come_in_any_order() -> None:
    """They are on different partitions."""
    control = Control()
    control.apply(_promoted(CHARTER.version))
    assert control.current() == ()
    control.apply(_applied())
    assert [compiled_.version for compiled_ in control.current()] == [CHARTER.version]


def test_a_new_version_takes_over_and_the_old_one_stays_for_its_cases() -> None:
    control = in_force(CHARTER, CHANGED)
    assert [compiled_.version for compiled_ in control.current()] == [CHANGED.version]
    assert control.charter("desk", CHARTER.version).version == CHARTER.version


def test_a_version_keeps_the_name_under_which_an_older_program_applied_it() -> None:
    """Its own hash of the same charter may have been different."""
    control = Control()
    control.apply(_applied().model_copy(update={"key": "desk/older", "charter_version": "older"}))
    control.apply(_promoted("older"))
    [current] = control.current()
    assert control.charter(current.agent, current.version) is current


def _unreadable(version: str = "newer") -> ControlCommand:
    """A version with a key that this program does not know, as a newer one applies it."""
    applied = _applied(CHANGED)
    assert applied.charter is not None
    content = applied.charter.replace('"mode":', '"mood":"good","mode":', 1)
    return applied.model_copy(update={"key": f"desk/{version}", "charter_version": version, "charter": content})


def _take(control: Control, *orders: ControlCommand) -> None:
    """As the subscriber does: what cannot be read is skipped."""
    for one in orders:
        apply_record(control, CODEC, CODEC.encode(one))


@pytest.mark.parametrize("before", [(), (CHARTER.version,)])
def test_a_promoted_charter_that_cannot_be_read_leaves_the_last_one_in_force(before: tuple[str, ...]) -> None:
    """It did not: the agent vanished, and each of its events ended without a case, with no lag and nothing to see."""
    control = in_force(CHARTER)
    oldest = "9.0" if before else ""
    promoted = _promoted("newer").model_copy(update={"before": before, "oldest_program": oldest})
    _take(control, _unreadable(), promoted)
    assert [compiled_.version for compiled_ in control.current()] == [CHARTER.version]
    [told] = control.unreadable()
    assert (told.agent, told.version, told.promoted, told.instead) == ("desk", "newer", True, CHARTER.version)
    assert "mood: unknown key" in told.reason
    assert PROMOTED_UNREADABLE.labels(agent="desk")._value.get() == 1
    _take(control, _promoted(CHARTER.version))
    assert not control.unreadable()[0].promoted
    assert PROMOTED_UNREADABLE.labels(agent="desk")._value.get() == 0


def test_a_process_that_starts_afterwards_knows_the_last_one_from_the_order() -> None:
    """The topic is compacted: of the promotions only the last is there."""
    orders = [_applied(), _unreadable("newer"), _unreadable("newest")]
    promoted = _promoted("newest").model_copy(
        update={"before": ("newer", CHARTER.version, CHANGED.version), "oldest_program": "9.0"}
    )
    control = Control()
    _take(control, promoted, *orders)
    assert [compiled_.version for compiled_ in control.current()] == [CHARTER.version]
    assert {told.version: told.promoted for told in control.unreadable()} == {"newer": False, "newest": True}


def test_a_charter_that_was_only_applied_is_never_in_force_in_place_of_one_that_cannot_be_read() -> None:
    control = Control()
    _take(control, _applied(), _unreadable(), _promoted("newer").model_copy(update={"oldest_program": "9.0"}))
    assert control.current() == ()
    assert [told.instead for told in control.unreadable()] == [""]


def test_a_case_of_a_version_that_cannot_be_read_says_what_to_install() -> None:
    control = Control()
    _take(control, _unreadable())
    with pytest.raises(CharterMissing, match="install the version of Nightdesk"):
        control.charter("desk", "newer")


def test_a_retired_agent_takes_nothing_and_its_cases_go_on() -> None:
    control = in_force(CHARTER)
    _take(control, order("retire", "desk", "desk/promoted", before=(CHARTER.version,)))
    assert control.current() == ()
    assert control.promoted("desk") is None
    assert control.charter("desk", CHARTER.version).version == CHARTER.version
    assert control.promotion("desk").before == (CHARTER.version,)


@pytest.mark.parametrize("kind", ["pause", "stop_all"])
@pytest.mark.parametrize("agent", ["*", "desk"])
def test_an_order_to_stop_stands_until_it_is_taken_back(kind: str, agent: str) -> None:
    control = Control()
    assert control.halted("desk") is None
    control.apply(order(kind, agent, agent))
    found = control.halted("desk")
    assert found is not None
    assert (found.kind, found.agent) == (kind, agent)
    control.apply(order("resume", agent, agent))
    assert control.halted("desk") is None


def test_another_agents_order_is_not_ours() -> None:
    control = Control()
    control.apply(order("pause", "other", "other"))
    assert control.halted("desk") is None


def test_to_resume_one_agent_does_not_take_back_the_order_to_all() -> None:
    control = Control()
    control.apply(order("stop_all", "*", "*"))
    control.apply(order("resume", "desk", "desk"))
    assert control.halted("desk") is not None


async def test_a_charter_on_its_way_is_waited_for() -> None:
    control = Control()
    late = threading.Timer(0.2, control.apply, [_applied()])
    late.start()
    assert (await control.charter_soon("desk", CHARTER.version)).version == CHARTER.version
    late.join()


async def test_a_charter_that_never_came_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charters, "WAIT_S", 0.01)
    control = Control()
    with pytest.raises(CharterMissing):
        await control.charter_soon("desk", CHARTER.version)
    assert control.wait_for(("desk", CHARTER.version)) is None
    with pytest.raises(CharterMissing, match="nightdesk charter apply"):
        await control.charter_soon("desk", CHARTER.version)
    control.apply(_applied())
    assert (await control.charter_soon("desk", CHARTER.version)).version == CHARTER.version


def test_to_look_for_a_charter_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers look on the loop: eight unknown names would block a stage eight times."""
    monkeypatch.setattr(charters, "WAIT_S", 3600.0)
    with pytest.raises(CharterMissing):
        Control().charter("desk", CHARTER.version)


async def test_names_that_somebody_invents_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charters, "WAIT_S", 0.0)
    monkeypatch.setattr(charters, "GIVEN_UP_AT_MOST", 3)
    control = Control()
    for number in range(9):
        wait = control.wait_for(("desk", str(number)))
        if wait is not None:
            await wait()
    assert len(control._given_up) == 3


UNREADABLE = {
    "no record": b"stop!",
    "an unknown schema": b"\0\0\0\0\x63" + b"x" * 9,
    "no charter": CODEC.encode(_applied().model_copy(update={"charter": "[]"})),
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_an_order_that_nobody_can_read_is_passed_over(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    control = Control()
    apply_record(control, CODEC, value)
    assert "an order on control is skipped" in caplog.text
    apply_record(control, CODEC, CODEC.encode(order("pause", "desk", "desk")))
    assert control.halted("desk") is not None


HOSTILE = {
    "a pattern in bytes": ('event.data.status == \\"open\\"', "event.data.a.matches(b'ä')"),
    "no pattern": ('event.data.status == \\"open\\"', "event.data.a.matches('(')"),
    "a long expression": ('event.data.status == \\"open\\"', "1" + "+1" * 200_000),
    "a long chain": ("asks for {{ event.subject }}", "{{ event" + ".a" * 5000 + " }}"),
    "nested conditions": ("asks for {{ event.subject }}", "{% if event %}" * 500 + "{% endif %}" * 500),
    "Python that is none": ("asks for {{ event.subject }}", "{{ event(a=1, a=2) }}"),
    "many digits": ("asks for {{ event.subject }}", "{{ " + "9" * 5000 + " }}"),
    "half a character": ("Answers tickets.", "\\ud800"),
    "a schema without end": ('{"type":"string"}', '{"items":' * 900 + "{}" + "}" * 900),
}


@pytest.mark.parametrize(("old", "new"), HOSTILE.values(), ids=HOSTILE)
def test_a_charter_that_its_writer_did_not_check_ends_no_worker(
    old: str, new: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each was an exception that the compiler was not expected to raise, in every worker, at each start."""
    applied = _applied()
    assert applied.charter is not None
    assert old in applied.charter
    control = Control()
    broken = applied.model_copy(update={"charter": applied.charter.replace(old, new)})
    apply_record(control, CODEC, CODEC.encode(broken))
    assert control.agents() == frozenset()
    assert "an order on control is skipped: CharterInvalid(" in caplog.text
    apply_record(control, CODEC, CODEC.encode(order("pause", "desk", "desk")))
    assert control.halted("desk") is not None


def test_a_charter_that_breaks_its_compiler_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charters, "compiled_from_json", [].pop)
    control = Control()
    apply_record(control, CODEC, CODEC.encode(_applied()))
    assert control.agents() == frozenset()


def test_while_the_registry_is_away_nobody_knows_what_an_order_says() -> None:
    def away(schema_id: int) -> NoReturn:
        raise RegistryUnavailable("away")

    with pytest.raises(RegistryUnavailable):
        apply_record(Control(), Codec({}, away), CODEC.encode(order("pause", "desk", "desk")))


async def test_while_one_record_waits_for_a_charter_the_others_go_on() -> None:
    """Otherwise invented versions would block a stage for as long as somebody invents more."""
    control = Control()
    waiting = asyncio.create_task(control.charter_soon("desk", CHARTER.version))
    await asyncio.sleep(0)
    control.apply(_applied(CHANGED))
    assert (await control.charter_soon("desk", CHANGED.version)).version == CHANGED.version
    assert not waiting.done()
    control.apply(_applied())
    assert (await waiting).version == CHARTER.version
