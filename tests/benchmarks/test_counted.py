"""What the benchmark must notice: an action that is missing, one that was done twice, a key that came again."""

from __future__ import annotations

import asyncio
import urllib.request
from collections import Counter

import orjson
import pytest

from benchmarks.counted import Arrivals, CountedActions
from benchmarks.counting_server import CountingServer
from benchmarks.measurements import Faults, InFlight, Latency, Throughput, percentile
from benchmarks.report import Report
from nightdesk.schemas import ids

EXPECTED = Counter({"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("at", "missing", "doubled"),
    [
        ({"a": [1.0, 2.0], "b": [1.0]}, 0, 0),
        ({"a": [1.0, 2.0]}, 1, 0),
        ({}, 3, 0),
        ({"a": [1.0, 2.0, 3.0], "b": [1.0]}, 0, 1),
        ({"a": [1.0], "b": [1.0, 2.0]}, 1, 1),
        ({"a": [1.0, 2.0], "b": [1.0], "nobody": [1.0]}, 0, 1),
    ],
)
def test_actions_are_compared_subject_by_subject(at: dict[str, list[float]], missing: int, doubled: int) -> None:
    arrivals = Arrivals(at, repeated=0)
    assert (arrivals.missing(EXPECTED), arrivals.doubled(EXPECTED)) == (missing, doubled)


@pytest.mark.parametrize(("share", "found"), [(0.5, 2.0), (0.99, 4.0), (0.25, 1.0)])
def test_a_percentile_is_a_value_that_was_measured(share: float, found: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], share) == found


async def test_the_server_counts_each_key_once_and_begins_anew() -> None:
    async with CountingServer() as server:
        actions = CountedActions(server.url)
        for step, subject in ((1, "a"), (1, "a"), (2, "a"), (3, "b")):
            await asyncio.to_thread(_post, server.url, ids.step_id("decision", step), subject)
        arrivals = await asyncio.to_thread(actions.arrivals)
        assert {subject: len(times) for subject, times in arrivals.at.items()} == {"a": 2, "b": 1}
        assert arrivals.repeated == 1
        await asyncio.to_thread(actions.forget)
        assert await asyncio.to_thread(actions.executed) == 0


@pytest.mark.parametrize("bad", [Faults(1, 0, 0, 0), Faults(0, 1, 0, 0), Faults(0, 0, 1, 0)])
def test_a_fault_of_any_kind_in_any_measurement_is_a_problem(bad: Faults) -> None:
    good = Faults(0, 0, 0, repeated_calls=3)
    assert _report(good, good).problems() == []
    assert len(_report(bad, good).problems()) == 1
    assert len(_report(good, bad).problems()) == 1


def _report(at_once: Faults, by_model: Faults) -> Report:
    fine = Faults(0, 0, 0, 0)
    return Report(
        at_once=Throughput(1, 1.0, {}, at_once),
        floor=Throughput(1, 1.0, {}, fine),
        latency=Latency(1, 20.0, 1.0, 1.0, {}, fine),
        by_model=InFlight(Throughput(1, 1.0, {}, by_model), 1),
        ours=(),
    )


def _post(url: str, key: str, subject: str) -> None:
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/actions", orjson.dumps({"subject": subject}), headers)
    with urllib.request.urlopen(request) as response:
        response.read()
