"""What the orders so far come to."""

import asyncio
import threading

import pytest

from schemas.records import ControlCommand
from streams import charters
from streams.charters import CharterMissing, Control
from tests.processors.examples import compiled
from tests.streams.stages.bench import in_force, order

CHARTER = compiled()
CHANGED = compiled(("confidence: 0.75", "confidence: 0.85"))


def _applied(which: object = CHARTER) -> ControlCommand:
    version, content = which.version, which.charter.to_json()  # type: ignore[attr-defined]
    return order("charter", "desk", f"desk/{version}", charter=content, charter_version=version)


def _promoted(version: str) -> ControlCommand:
    return order("promote", "desk", "desk/promoted", charter_version=version)


def test_a_charter_that_was_only_applied_takes_nothing() -> None:
    control = Control()
    control.obey(_applied())
    assert control.current() == ()
    control.obey(_promoted(CHARTER.version))
    assert [compiled_.version for compiled_ in control.current()] == [CHARTER.version]


def test_orders_may_come_in_any_order() -> None:
    """They lie on different partitions."""
    control = Control()
    control.obey(_promoted(CHARTER.version))
    assert control.current() == ()
    control.obey(_applied())
    assert [compiled_.version for compiled_ in control.current()] == [CHARTER.version]


def test_a_new_version_takes_over_and_the_old_one_stays_for_its_cases() -> None:
    control = in_force(CHARTER, CHANGED)
    assert [compiled_.version for compiled_ in control.current()] == [CHANGED.version]
    assert control.charter("desk", CHARTER.version).version == CHARTER.version


def test_a_version_keeps_the_name_under_which_an_older_program_applied_it() -> None:
    """Its own hash of the same charter may have been another."""
    control = Control()
    control.obey(_applied().model_copy(update={"key": "desk/older", "charter_version": "older"}))
    control.obey(_promoted("older"))
    [current] = control.current()
    assert control.charter(current.agent, current.version) is current


@pytest.mark.parametrize("kind", ["pause", "stop_all"])
@pytest.mark.parametrize("agent", ["*", "desk"])
def test_an_order_to_stop_stands_until_it_is_taken_back(kind: str, agent: str) -> None:
    control = Control()
    assert control.halted("desk") is None
    control.obey(order(kind, agent, agent))
    found = control.halted("desk")
    assert found is not None
    assert (found.kind, found.agent) == (kind, agent)
    control.obey(order("resume", agent, agent))
    assert control.halted("desk") is None


def test_another_agents_order_is_not_ours() -> None:
    control = Control()
    control.obey(order("pause", "other", "other"))
    assert control.halted("desk") is None


def test_to_resume_one_agent_does_not_take_back_the_order_to_all() -> None:
    control = Control()
    control.obey(order("stop_all", "*", "*"))
    control.obey(order("resume", "desk", "desk"))
    assert control.halted("desk") is not None


def test_a_charter_on_its_way_is_waited_for() -> None:
    control = Control()
    late = threading.Timer(0.2, control.obey, [_applied()])
    late.start()
    assert control.charter("desk", CHARTER.version).version == CHARTER.version
    late.join()


def test_a_charter_that_never_came_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charters, "WAIT_S", 0.01)
    control = Control()
    with pytest.raises(CharterMissing):
        control.charter("desk", CHARTER.version)
    monkeypatch.setattr(charters, "WAIT_S", 3600.0)
    with pytest.raises(CharterMissing, match="nightdesk charter apply"):
        control.charter("desk", CHARTER.version)
    control.obey(_applied())
    assert control.charter("desk", CHARTER.version).version == CHARTER.version


async def test_while_one_record_waits_for_a_charter_the_others_go_on() -> None:
    """Invented versions would otherwise hold up a stage for as long as somebody invents more."""
    control = Control()
    waiting = asyncio.create_task(control.charter_soon("desk", CHARTER.version))
    await asyncio.sleep(0)
    control.obey(_applied(CHANGED))
    assert (await control.charter_soon("desk", CHANGED.version)).version == CHANGED.version
    assert not waiting.done()
    control.obey(_applied())
    assert (await waiting).version == CHARTER.version
