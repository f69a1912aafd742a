"""Each promise of docs/guarantees.md and each situation of docs/nights.md names what holds it, and that is there."""

import ast
import re
from pathlib import Path

import pytest

from tests.chaos.catalog import SCENARIOS

ROOT = Path(__file__).parent.parent
PROMISED, _, SEEN = (ROOT / "docs" / "guarantees.md").read_text().partition("## Results of the long form")


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|---")]
    return [row for row in rows if row[0] not in ("promise", "scenario", "situation")]


PROMISES = _rows(PROMISED)
SITUATIONS = _rows((ROOT / "docs" / "nights.md").read_text())


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[0][:60])
def test_what_holds_a_promise_is_there(promise: list[str]) -> None:
    _, _, held_by = promise
    named = re.findall(r"`([^`]+)`", held_by)
    assert named
    for name in named:
        path, is_test, function = name.partition("::")
        assert function in _functions(ROOT / path) if is_test else name in SCENARIOS, name


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation[0][:60])
def test_what_happens_in_a_situation_has_a_test(situation: list[str]) -> None:
    _, happens, _, tests = situation
    assert happens.endswith(".")
    named = re.findall(r"`([^`]+)::([^`]+)`", tests)
    assert named
    for path, function in named:
        assert function in _functions(ROOT / path), function


def test_every_scenario_holds_a_promise() -> None:
    held = {name for _, _, held_by in PROMISES for name in re.findall(r"`([^`]+)`", held_by)}
    assert SCENARIOS.keys() <= held


def test_what_was_seen_is_of_a_scenario() -> None:
    named = [row[0].strip("`") for row in _rows(SEEN)]
    assert named
    assert set(named) <= SCENARIOS.keys()


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
