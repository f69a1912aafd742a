"""Each promise of docs/guarantees.md names what holds it, and that is there."""

import ast
import re
from pathlib import Path

import pytest

from tests.chaos.catalog import SCENARIOS

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "guarantees.md").read_text()
PROMISES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in GUIDE.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| promise"))
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[0][:60])
def test_what_holds_a_promise_is_there(promise: list[str]) -> None:
    _, _, held_by = promise
    named = re.findall(r"`([^`]+)`", held_by)
    assert named
    for name in named:
        path, is_test, function = name.partition("::")
        assert function in _functions(ROOT / path) if is_test else name in SCENARIOS, name


def test_every_scenario_holds_a_promise() -> None:
    held = {name for _, _, held_by in PROMISES for name in re.findall(r"`([^`]+)`", held_by)}
    assert SCENARIOS.keys() <= held


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
