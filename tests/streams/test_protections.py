"""Each protection of the safety layer is needed: its scenario ends well with the layer and badly without it.

All scenarios begin at once, each on topics of its own, because they mostly wait.
"""

import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from nightdesk.local.stack import LocalStack
from tests.streams.storm import without
from tests.streams.storm.broker import Broker
from tests.streams.storm.scenarios import FOR, Place

AT_ONCE = 4
CASES = [(protection, scenario) for protection, scenarios in FOR.items() for scenario in scenarios]
Verdicts = dict[tuple[str, str, bool], Future[list[str]]]


@pytest.fixture(scope="module")
def verdicts(
    stack: LocalStack, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Verdicts]:
    """What each scenario finds, with and without; only those that are asked for are played."""
    asked = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    servers = stack.settings.kafka.bootstrap_servers

    def play(protection: str, name: str, protected: bool) -> list[str]:
        scenario = next(scenario for scenario in FOR[protection] if scenario.__name__ == name)
        broker = Broker(servers, f"scene-{uuid.uuid4().hex[:8]}.", partitions=1)
        broker.create_topics()
        return scenario(Place(broker, _folder(tmp_path_factory, name), None if protected else protection))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            (protection, scenario.__name__, protected): pool.submit(play, protection, scenario.__name__, protected)
            for protection, scenario in CASES
            if scenario.__name__ in asked
            for protected in (True, False)
        }
        pool.shutdown(cancel_futures=True)


def _folder(factory: pytest.TempPathFactory, name: str) -> Path:
    return factory.mktemp(name)


def test_every_protection_has_its_scenario() -> None:
    assert FOR.keys() == without.BY_NAME.keys()


@pytest.mark.parametrize(("protection", "name"), [pytest.param(p, s.__name__, id=s.__name__) for p, s in CASES])
def test_the_protection_is_there_and_needed(verdicts: Verdicts, protection: str, name: str) -> None:
    assert verdicts[protection, name, True].result() == []
    assert verdicts[protection, name, False].result() != []
