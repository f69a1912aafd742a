"""What the pages make of values, without a server."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightdesk.console.catalog import PAGES
from nightdesk.console.pages.agents import versions
from nightdesk.console.pages.dead_letters import groups
from nightdesk.operations.agents import CharterVersion
from nightdesk.operations.dead_letters.causes import cause
from nightdesk.operations.dead_letters.reading import Letter
from nightdesk.schemas.records import DeadLetter

PAGES_FOLDER = Path(__file__).parents[2] / "console" / "pages"
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def letter(number: int, message: str, error: str = "Boom") -> Letter:
    about = DeadLetter(
        dead_letter_id=f"letter-{number}",
        stage="act",
        topic="act",
        partition=0,
        offset=number,
        timestamp_ms=0,
        error=error,
        message=message,
        traceback="",
        program_version="0.1.0",
        time=NOW,
    )
    return Letter(about, ("act.dlq", 0, number), 10)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("offset 17 is gone", "offset 18 is gone", True),
        ("no charter 'a' of 'b'", "no charter 'c' of 'd'", True),
        ("case 1f5e93f0-2ad4-5ac8-b9c8-cd0b90a8fe44 is old", "case d78e3297-27cc-56cb-983a-0a7017a7d4aa is old", True),
        ("the other side hung up", "the other side said no", False),
    ],
)
def test_messages_of_one_cause_are_one_group(one: str, other: str, is_same: bool) -> None:
    assert (cause(one) == cause(other)) is is_same


def test_the_largest_group_comes_first_with_every_letter_counted() -> None:
    found = groups([letter(1, "offset 1"), letter(2, "offset 2"), letter(3, "offset 3", "Other")])
    assert [(group.error, group.count) for group in found] == [("Boom", 2), ("Other", 1)]


def test_a_version_shows_what_changed_since_the_one_before() -> None:
    contents = ({"mode": "dry_run", "agent": "desk"}, {"mode": "live", "agent": "desk"})
    found = [CharterVersion(f"v{n}", json.dumps(content), "ada", NOW) for n, content in enumerate(contents)]
    first, second = versions(found, "v1")
    assert (first.changes, first.is_in_force, second.is_in_force) == ([], False, True)
    assert [line for line in second.changes if line[0] in "+-"] == ["-mode: dry_run", "+mode: live"]


def test_every_page_has_a_key_and_a_name_of_its_own() -> None:
    assert len({page.key for page in PAGES}) == len({page.name for page in PAGES}) == len(PAGES)


def test_every_module_with_a_page_is_in_the_navigation() -> None:
    modules = [path for path in PAGES_FOLDER.glob("*.py") if re.search("^PAGE = ", path.read_text(), re.MULTILINE)]
    listed = {page.name.replace("-", "_") for page in PAGES}
    missing = {path.stem for path in modules} - listed
    assert not missing, f"add them to PAGES in console/catalog.py: {missing}"
