"""What the orders so far come to."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import NoReturn

import pytest
from confluent_kafka import Producer

from nightdesk.commands.topics import apply_topics
from nightdesk.settings import Settings
from schemas.codec import Codec, RegistryUnavailable
from schemas.records import ControlCommand
from streams import charters
from streams.charters import CharterMissing, Control, take
from streams.runtime.fail_stop import ExitCode
from tests.processors.examples import compiled
from tests.streams.stages.bench import CODEC, in_force, order

ROOT = Path(__file__).parents[2]

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


UNREADABLE = {
    "no record": b"stop!",
    "an unknown schema": b"\0\0\0\0\x63" + b"x" * 9,
    "no charter": CODEC.encode(_applied().model_copy(update={"charter": "[]"})),
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_an_order_that_nobody_can_read_is_passed_over(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    control = Control()
    take(control, CODEC, value)
    assert "an order on control is passed over" in caplog.text
    take(control, CODEC, CODEC.encode(order("pause", "desk", "desk")))
    assert control.halted("desk") is not None


def test_a_charter_that_breaks_its_compiler_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charters, "compile_charter", [].pop)
    control = Control()
    take(control, CODEC, CODEC.encode(_applied()))
    assert control.agents() == frozenset()


def test_while_the_registry_is_away_nobody_knows_what_an_order_says() -> None:
    def away(schema_id: int) -> NoReturn:
        raise RegistryUnavailable("away")

    with pytest.raises(RegistryUnavailable):
        take(Control(), Codec({}, away), CODEC.encode(order("pause", "desk", "desk")))


FOLLOWING = """
import sys, time
from streams.charters import Control, ControlFollower
from schemas.codec import Codec, RegistryUnavailable

def away(schema_id):
    raise RegistryUnavailable("the registry is away")

ControlFollower({"bootstrap.servers": sys.argv[1]}, sys.argv[2], Codec({}, away), Control()).start()
print("went on", flush=True)
time.sleep(60)
"""


def test_a_process_that_cannot_hear_orders_ends(stack_settings: Settings) -> None:
    kafka = stack_settings.kafka
    apply_topics(kafka)
    producer = Producer(kafka.client_config())
    producer.produce(f"{kafka.topic_prefix}control", CODEC.encode(order("pause", "desk", "desk")), "desk")
    assert producer.flush(30) == 0
    ended = subprocess.run(
        [sys.executable, "-c", FOLLOWING, kafka.bootstrap_servers, kafka.topic_prefix],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (ExitCode.UNAVAILABLE, "")
    assert "control can no longer be followed" in ended.stderr


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
