"""`nightdesk charter`: what authors and their CI see."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nightdesk.commands.charter import app
from nightdesk.messaging.failures import Failure
from nightdesk.operations.charters import load_charter
from nightdesk.processors.charter import CharterInvalid
from nightdesk.processors.charter.problems import PROBLEMS_AT_MOST
from nightdesk.processors.charter.schema import charter_schema_text
from nightdesk.schemas.records import ControlCommand
from tests.processors.examples import CHARTER, FILES, changed

RUN = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of charters: a valid one and an invalid one."""
    for name, text in (("right", CHARTER), ("wrong", changed(("mode: live", "mood: live"), ("do: pay", "do: pey")))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "charter.yaml").write_text(text)
        for file, content in FILES.items():
            (tmp_path / name / file).write_text(content)
    return tmp_path


def test_a_right_charter_is_named_with_its_version(folder: Path) -> None:
    result = RUN.invoke(app, ["check", str(folder / "right")])
    version = load_charter(folder / "right").version
    assert result.exit_code == 0
    assert f"charter.yaml: ok: desk {version} (live): respond, refund, escalate, look, wait" in result.stdout


def test_each_problem_is_a_line_that_editors_understand(folder: Path) -> None:
    file = folder / "wrong" / "charter.yaml"
    result = RUN.invoke(app, ["check", str(folder / "right"), str(file)])
    assert result.exit_code == 1
    lines = [line for line in result.stdout.splitlines() if line.startswith(f"{file}:")]
    assert len(lines) == 2
    assert "playbooks.refund[0].do: there is no handler 'pey'" in lines[0]
    assert "mood: unknown key; did you mean 'mode'?" in lines[1]


def test_check_as_json(folder: Path) -> None:
    result = RUN.invoke(app, ["check", "--output", "json", str(folder / "right"), str(folder / "wrong")])
    right, wrong = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (right["ok"], right["agent"], right["problems"]) == (True, "desk", [])
    assert (wrong["ok"], wrong["agent"], len(wrong["problems"])) == (False, None, 2)
    assert set(wrong["problems"][0]) == {"line", "column", "path", "reason"}


@pytest.mark.parametrize("name", ["p" * 5000, "a\\0b", "\\ud800.md", "circle", "folder", "../right/prompt.md"])
def test_a_name_that_no_file_beside_a_charter_has_is_an_error_with_its_line(folder: Path, name: str) -> None:
    (folder / "wrong" / "circle").symlink_to(folder / "wrong" / "circle")
    (folder / "wrong" / "folder").mkdir()
    (folder / "wrong" / "charter.yaml").write_text(changed(("prompt: prompt.md", f'prompt: "{name}"')))
    result = RUN.invoke(app, ["check", str(folder / "wrong")])
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (1, True)
    assert "decide.prompt: " in result.stdout
    assert len(result.stdout) < 5000


@pytest.mark.parametrize("path", ["9" * 5000, "\udcff" * 300])
def test_a_path_that_no_file_has_is_a_failure(path: str) -> None:
    for command in ("check", "apply"):
        result = RUN.invoke(app, [command, path])
        assert isinstance(result.exception, Failure), result.exception
        assert len(str(result.exception)) < 500


def test_a_list_of_wrong_items_is_cut_and_counted(folder: Path) -> None:
    file = folder / "wrong" / "charter.yaml"
    file.write_text(changed(("rules:\n", "rules:\n" + f"  - {{name: x, {'k' * 250}: 1}}\n" * 300)))
    result = RUN.invoke(app, ["check", str(file)])
    lines = result.stdout.splitlines()
    assert (result.exit_code, len(lines)) == (1, PROBLEMS_AT_MOST + 1)
    assert len(result.stdout) < 30_000
    [row] = json.loads(RUN.invoke(app, ["check", "--output", "json", str(file)]).stdout)
    assert len(row["problems"]) == PROBLEMS_AT_MOST
    assert lines[-1] == f"{file}: and {row['more_problems']} more problems"
    with pytest.raises(CharterInvalid) as raised:
        load_charter(file)
    assert str(raised.value).endswith(f"\nand {row['more_problems']} more")
    assert len(str(raised.value)) < 30_000, "it is logged where an order is skipped"
    assert row["more_problems"] + PROBLEMS_AT_MOST >= 600


def _with_agent(folder: Path, name: str, agent: str) -> Path:
    (folder / name).mkdir()
    for beside, content in FILES.items():
        (folder / name / beside).write_text(content)
    file = folder / name / "charter.yaml"
    file.write_text(changed(("agent: desk", f"agent: {agent}")))
    return file


def test_two_charters_of_one_agent_are_an_error_that_names_both(tmp_path: Path) -> None:
    """In a folder, and as files; the same file named twice is one charter."""
    one, other, _ = (_with_agent(tmp_path, name, agent) for name, agent in (("a", "desk"), ("b", "desk"), ("c", "c")))
    for arguments in ([str(tmp_path)], [str(one), str(other)], [str(one.parent), str(other)]):
        result = RUN.invoke(app, ["check", "--output", "json", *arguments])
        assert result.exit_code == 1
        rows = {row["file"]: row for row in json.loads(result.stdout)}
        for file, twin in ((one, other), (other, one)):
            [problem] = rows[str(file)]["problems"]
            assert str(twin) in problem["reason"]
            assert not rows[str(file)]["ok"]
    applied = RUN.invoke(app, ["apply", str(tmp_path)])
    assert isinstance(applied.exception, Failure)
    assert all(str(file) in str(applied.exception) for file in (one, other))
    assert RUN.invoke(app, ["check", str(one), str(one.parent)]).exit_code == 0


def test_a_connection_that_is_not_set_here_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = RUN.invoke(app, ["check", str(folder / "right")])
    assert result.exit_code == 0
    assert "warning: handlers.send: connection desk" in result.stdout
    assert "NIGHTDESK_CONNECTIONS__DESK__BASE_URL" in result.stdout
    monkeypatch.setenv("NIGHTDESK_CONNECTIONS__DESK__BASE_URL", "http://127.0.0.1:1")
    assert "connection desk" not in RUN.invoke(app, ["check", str(folder / "right")]).stdout


def test_apply_says_which_connections_are_missing_and_strict_refuses(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    monkeypatch.setattr("nightdesk.commands.charter.claim_if_free", lambda *_: None)
    monkeypatch.setattr("nightdesk.operations.promotions.give_orders", lambda _settings, orders: given.append(orders))
    strict = RUN.invoke(app, ["apply", "--strict", str(folder / "right")])
    assert isinstance(strict.exception, Failure)
    assert given == []
    result = RUN.invoke(app, ["apply", str(folder / "right"), "--output", "json"])
    assert (result.exit_code, len(given)) == (0, 1)
    assert "desk" in json.loads(result.stdout)[0]["missing_connections"]
    assert "warning: desk: connection desk" in result.stderr


def test_what_is_only_applied_is_not_in_force_and_this_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[ControlCommand] = []
    monkeypatch.setattr("nightdesk.commands.charter.claim_if_free", lambda *_: None)
    monkeypatch.setattr("nightdesk.operations.promotions.give_orders", lambda _settings, orders: given.extend(orders))
    result = RUN.invoke(app, ["apply", str(folder / "right"), "--output", "json"])
    assert [order.kind for order in given] == ["charter"]
    assert json.loads(result.stdout)[0]["promoted"] is False
    assert "not in force yet: nightdesk charter promote AGENT VERSION" in result.stderr


def test_to_restrict_running_cases_without_promoting_is_refused(folder: Path) -> None:
    result = RUN.invoke(app, ["apply", str(folder / "right"), "--applies-to", "waiting"])
    assert isinstance(result.exception, Failure)
    assert "--applies-to waiting is for --promote" in str(result.exception)


def test_the_schema_is_printed() -> None:
    assert RUN.invoke(app, ["schema"]).stdout == charter_schema_text()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="there is no file"):
        load_charter(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"agent: \xff")
    with pytest.raises(Failure, match="cannot be read"):
        load_charter(tmp_path / "latin.yaml")


def test_a_charter_takes_only_what_lies_beside_it(folder: Path) -> None:
    (folder / "secret.md").write_text("a secret")
    file = folder / "right" / "charter.yaml"
    for name in ("../secret.md", str(folder / "secret.md")):
        file.write_text(changed(("prompt: prompt.md", f"prompt: {name}")))
        with pytest.raises(CharterInvalid, match="no file"):
            load_charter(file)
    (folder / "right" / "prompt.md").unlink()
    (folder / "right" / "prompt.md").symlink_to(folder / "secret.md")
    file.write_text(CHARTER)
    with pytest.raises(CharterInvalid, match="no file"):
        load_charter(file)


def test_no_charter_of_a_folder_is_left_out(tmp_path: Path, folder: Path) -> None:
    """One beside subfolders with charters, and one that is not called charter.yaml."""
    text = (folder / "right" / "charter.yaml").read_text()
    for name in ("one/charter.yaml", "one/old/charter.yaml", "two/b.yaml", "two/a/charter.yaml"):
        (tmp_path / "many" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "many" / name).write_text(text)
    for place, names in (("one", ("charter.yaml", "old/charter.yaml")), ("two", ("b.yaml", "a/charter.yaml"))):
        said = RUN.invoke(app, ["check", str(tmp_path / "many" / place)]).stdout
        assert all(str(tmp_path / "many" / place / name) in said for name in names), said


@pytest.mark.parametrize("name", ["Desk", "help-desk"])
def test_a_connection_that_no_variable_can_name_is_set_as_json(folder: Path, name: str) -> None:
    file = folder / "right" / "charter.yaml"
    file.write_text(file.read_text().replace("connection: desk", f"connection: {name}"))
    said = RUN.invoke(app, ["check", str(folder / "right")]).stdout
    assert f"NIGHTDESK_CONNECTIONS with {name!r} in its JSON object" in " ".join(said.split())


@pytest.mark.parametrize("command", ["check", "apply"])
def test_a_connection_that_is_for_other_agents_cannot_be_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("NIGHTDESK_CONNECTIONS__DESK__BASE_URL", "https://desk.example")
    monkeypatch.setenv("NIGHTDESK_CONNECTIONS__DESK__AGENTS", "other, another")
    result = RUN.invoke(app, [command, str(folder / "right")])
    said = result.stdout + str(result.exception)
    assert result.exit_code == 1
    assert "connection desk is only for another, other: add desk to NIGHTDESK_CONNECTIONS__DESK__AGENTS" in said
    monkeypatch.setenv("NIGHTDESK_CONNECTIONS__DESK__AGENTS", "other,desk")
    assert RUN.invoke(app, ["check", str(folder / "right")]).exit_code == 0


def test_two_charters_that_act_on_one_event_are_a_warning(folder: Path) -> None:
    other = _with_agent(folder, "more", "other")
    result = RUN.invoke(app, ["check", str(folder / "right"), str(other)])
    assert result.exit_code == 0
    assert "warning: on[0]: other may accept the same ticket.created" in result.stdout
    assert "warning: on[0]: desk may accept the same ticket.created" in result.stdout
