"""A name is shown with what is known of it, and by one function."""

import ast
from pathlib import Path

import pytest

from nightdesk.schemas import audit_records
from nightdesk.schemas.persons import shown_order, shown_person
from nightdesk.schemas.records import BudgetEntry, ControlCommand
from tests.processors.examples import NOW

ROOT = Path(__file__).parents[2]
ROOMS = ("processors", "schemas", "streams", "effects", "sinks", "operations", "console", "messaging", "nightdesk")
NAMES = {"person", "issued_by"}
# They say that the name is only claimed, or is not believed, in words of their own.
# Names in another system are looked up in the token file, and told to nobody but who has them.
IN_OTHER_WORDS = {"streams/stages/approval_checks.py": 2, "console/pages/outside_answers.py": 2}


def test_only_a_verified_name_stands_alone() -> None:
    assert shown_person("ada", "verified") == "ada"
    assert shown_person("ada", "claimed") == shown_person("ada", "forged") == shown_person("ada") == "ada (claimed)"


def test_a_login_is_shown_and_proves_no_name() -> None:
    login = "https://id.example.com 24829"
    assert shown_person("ada", "verified", login) == "ada (login 24829 at https://id.example.com)"
    assert shown_person("ada", login=login) == "ada (claimed, login 24829 at https://id.example.com)"


@pytest.mark.parametrize("kind", ["pause", "stop_all", "resume"])
def test_an_order_names_a_claimed_person(kind: str) -> None:
    order = ControlCommand.model_validate(
        {"key": "*", "kind": kind, "agent": "*", "reason": "night", "issued_by": "ada", "time": NOW}
    )
    assert shown_order(order) == f"{kind} by ada (claimed): night"


def test_a_correction_names_a_claimed_person() -> None:
    entry = BudgetEntry(
        entry_id="e",
        kind="correct",
        agent="desk",
        case_id="c",
        amount_microusd=5,
        time=NOW,
        person="the-ceo",
        reason="ok",
    )
    assert audit_records.corrected(entry, 1, 2, "").reason == "corrected to $0.000005 by the-ceo (claimed): ok"


def test_no_text_has_a_persons_name_without_its_mark() -> None:
    found = {}
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            bare = [
                part
                for text in ast.walk(ast.parse(file.read_text()))
                if isinstance(text, ast.FormattedValue)
                for part in [text.value]
                if isinstance(part, ast.Attribute) and part.attr in NAMES
            ]
            if bare:
                found[str(file.relative_to(ROOT))] = len(bare)
    assert found == IN_OTHER_WORDS
