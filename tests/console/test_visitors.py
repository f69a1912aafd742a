"""Who may come in, and what each may do."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from nightdesk.cli import app
from nightdesk.console.token_file import read_visitors
from nightdesk.console.visitors import Forbidden, GroupRole, Role, Visitor, Visitors, digest, new_token
from nightdesk.messaging.failures import Failure
from nightdesk.operations.identity_provider import Identity
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
        ([], "names nobody"),
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


def test_a_team_stands_for_its_agents_and_a_login_for_its_person(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    ada = {"person": "ada", "login": "ada@example.com", "role": "approver", "teams": ["billing"], "agents": ["x"]}
    leads = {"group": "leads", "role": "operator", "teams": ["billing"]}
    teams = {"billing": ["refunds", "invoices"]}
    file.write_text(yaml.safe_dump({"teams": teams, "persons": [ada], "groups": [leads]}))
    visitors = read_visitors(file)
    found = visitors.with_identity(Identity("ADA@example.com", frozenset({"leads"}), "https://id.example.com 1"))
    assert found is not None
    assert (found.name, found.role, found.agents) == ("ada", Role.approver, frozenset({"refunds", "invoices", "x"}))
    assert visitors.groups == [GroupRole("leads", Role.operator, frozenset({"refunds", "invoices"}))]
    assert Visitors().with_identity(Identity("ada@example.com", frozenset(), "https://id.example.com 1")) is None
    for wrong, problem in (({"teams": ["sales"]}, "no team sales"), ({"login": None}, "token_sha256 or login")):
        file.write_text(yaml.safe_dump({"teams": teams, "persons": [ada | wrong]}))
        with pytest.raises(Failure, match=problem):
            read_visitors(file)


def test_a_new_token_is_printed_with_its_line_for_the_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["console", "--new-token"])
    token, line = (row.partition(":")[2].strip() for row in result.stdout.splitlines())
    name, value = line.split(": ")
    visitors = read_visitors(write(tmp_path, {"person": "ada", name: value, "role": "viewer"}))
    assert visitors.with_token(token) is not None


def test_tokens_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100
