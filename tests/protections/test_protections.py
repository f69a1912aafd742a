"""Each protection is needed: its scenario finds no violation with it, and one without it.

All scenarios begin at once, each on topics of its own, because they mostly wait.
"""

from collections.abc import Callable, Iterator

import pytest

from nightdesk.local.stack import LocalStack
from tests.protections.trial import Ground, Verdict
from tests.protections.trials import TRIALS, played
from tests.streams.fault_injection import without

Coming = dict[str, Callable[[], Verdict]]


@pytest.fixture(scope="module")
def coming(
    stack: LocalStack, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Coming]:
    """The violations of each scenario; only the requested ones are played."""
    asked = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    ground = Ground(stack.settings.kafka.bootstrap_servers, tmp_path_factory.mktemp("protections"))
    with played(tuple(trial for trial in TRIALS if trial.scenario in asked), ground) as verdicts:
        yield verdicts


def test_every_protection_of_the_layer_is_on_trial() -> None:
    assert without.BY_NAME.keys() <= {trial.protection for trial in TRIALS}


def test_no_two_scenarios_have_one_name() -> None:
    assert len({trial.scenario for trial in TRIALS}) == len(TRIALS)


@pytest.mark.parametrize("scenario", [trial.scenario for trial in TRIALS])
def test_the_protection_is_there_and_needed(coming: Coming, scenario: str) -> None:
    verdict = coming[scenario]()
    assert verdict.with_it == []
    assert verdict.without_it != []
