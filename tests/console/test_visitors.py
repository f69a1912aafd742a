"""Who may come in, and what each may do."""

from pathlib import Path

import pytest
import yaml

from nightdesk.console.visitors import Forbidden, Role, Visitor, digest, new_token, read_visitors
from nightdesk.messaging.failures import Failure
from nightdesk.operations.persons import Person

ADA = {"person": "ada", "token_sha256": digest("secret-of-ada"), "role": "approver", "agents": ["support-triage"]}


def write(folder: Path, *persons: object) -> Path:
    file = folder / "tokens.yaml"
    file.write_text(yaml.safe_dump({"persons": list(persons)}))
    return file


def test_a_token_finds_its_person_and_the_file_has_no_token(tmp_path: Path) -> None:
    file = write(tmp_path, ADA)
    visitors = read_visitors(file)
    found = visitors.with_token("secret-of-ada")
    assert found is not None
    assert (found.name, found.role, found.agents) == ("ada", Role.approver, frozenset({"support-triage"}))
    assert visitors.with_token(digest("secret-of-ada")) is None, "what the file has is no token"
    assert visitors.with_token("") is None
    assert "secret-of-ada" not in file.read_text()


def test_each_role_may_do_what_the_ones_before_it_may() -> None:
    for role in Role:
        visitor = Visitor(Person("ada"), role)
        assert [visitor.may(other) for other in Role] == [other.rank <= role.rank for other in Role]


def test_a_person_of_some_agents_may_do_nothing_for_others_or_for_all() -> None:
    visitor = Visitor(Person("ada"), Role.operator, frozenset({"support-triage"}))
    assert visitor.may(Role.operator, "support-triage")
    assert not visitor.may(Role.viewer, "nightly")
    assert not visitor.may(Role.viewer)
    with pytest.raises(Forbidden, match="every agent"):
        visitor.check(Role.viewer)


@pytest.mark.parametrize(
    ("persons", "problem"),
    [
        ([], "at least 1 item"),
        ([{**ADA, "token_sha256": "secret-of-ada"}], "token_sha256"),
        ([{**ADA, "role": "king"}], "role"),
        ([{**ADA, "token": "secret-of-ada"}], "token"),
        ([ADA, {**ADA, "person": "bob"}], "two persons have one token"),
        ([{**ADA, "person": "nightdesk:system"}], "no person's name"),
        ([{**ADA, "key_file": "nowhere.json"}], "nowhere.json"),
    ],
)
def test_a_file_that_is_wrong_is_refused_without_its_content(
    tmp_path: Path, persons: list[object], problem: str
) -> None:
    with pytest.raises(Failure, match=problem) as refused:
        read_visitors(write(tmp_path, *persons))
    assert "secret-of-ada" not in str(refused.value)


def test_a_file_that_is_no_yaml_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("persons: [")
    for name in ("broken.yaml", "missing.yaml"):
        with pytest.raises(Failure, match=name):
            read_visitors(tmp_path / name)


def test_tokens_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100
