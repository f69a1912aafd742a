"""All trials: those of the safety layer, of the stages, of identity, of clocks and of the verification of stops."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tests.protections import clocks, identity, stages, stops
from tests.protections.trial import Ground, Trial, Verdict
from tests.streams.fault_injection import logs
from tests.streams.fault_injection.place import Place
from tests.streams.fault_injection.scenarios import FOR

# They mostly wait for processes to start and sessions to end.
AT_ONCE = 4


def _of_the_layer(protection: str, scenario: Callable[[Place], list[str]]) -> Trial:
    def play(ground: Ground, protected: bool) -> list[str]:
        return scenario(ground.place(None if protected else protection))

    return Trial(protection, scenario.__name__, play)


TRIALS: tuple[Trial, ...] = (
    *(
        _of_the_layer(protection, scenario)
        for protections in (FOR, logs.FOR)
        for protection, scenarios in protections.items()
        for scenario in scenarios
    ),
    *stages.TRIALS,
    *identity.TRIALS,
    *clocks.TRIALS,
    *stops.TRIALS,
)


@contextmanager
def played(trials: tuple[Trial, ...], ground: Ground) -> Iterator[dict[str, Callable[[], Verdict]]]:
    """Start all of them; returns for each scenario a function that waits for its verdict."""

    def verdict(trial: Trial, parts: tuple[Future[list[str]], Future[list[str]]]) -> Callable[[], Verdict]:
        return lambda: Verdict(trial, *(part.result() for part in parts))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = {
            trial: (pool.submit(trial.play, ground, True), pool.submit(trial.play, ground, False)) for trial in trials
        }
        yield {trial.scenario: verdict(trial, parts) for trial, parts in begun.items()}
        pool.shutdown(cancel_futures=True)
