"""A charter that an older version applied means the same today: same version, same defaults, nothing refused.

`python -m tests.processors.charter.keep` writes `kept/<agent>-<version>.json` once, and it never changes: `content` is
what is on the `control` topic, `means` the charter with every default.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from nightdesk.processors.charter import compile_charter
from nightdesk.processors.charter.parsing import charter_from_json

KEPT = sorted((Path(__file__).parent / "kept").glob("*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_charter_means_what_it_meant(path: Path) -> None:
    kept = json.loads(path.read_text())
    charter = charter_from_json(kept["content"])
    assert (charter.version, charter.to_json()) == (kept["version"], kept["content"])
    assert _within(kept["means"], charter.model_dump(mode="json"))
    compile_charter(charter)


def test_there_are_kept_charters() -> None:
    assert KEPT


def _within(kept: Any, today: Any) -> bool:
    """Whether today's charter has everything that the stored one has, and perhaps more."""
    if isinstance(kept, dict) and isinstance(today, dict):
        return all(key in today and _within(value, today[key]) for key, value in kept.items())
    if isinstance(kept, list) and isinstance(today, list):
        return len(kept) == len(today) and all(map(_within, kept, today))
    return bool(kept == today)
