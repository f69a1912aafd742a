"""`nightdesk charter`: what authors and their CI see."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nightdesk.charters import load_charter
from nightdesk.commands.charter import app
from nightdesk.exits import Failure
from processors.charter import CharterInvalid
from processors.charter.schema import charter_schema_text
from tests.processors.examples import CHARTER, FILES, changed

RUN = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of charters: one that is right, one that is not."""
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


def test_list_names_every_charter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_CHARTERS", str(folder))
    result = RUN.invoke(app, ["list", "--output", "json"])
    assert [(row["agent"], row["problems"]) for row in json.loads(result.stdout)] == [("desk", 0), (None, 2)]


def test_an_empty_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_CHARTERS", str(tmp_path))
    result = RUN.invoke(app, ["list"])
    assert isinstance(result.exception, Failure)
    assert "there is no charter" in str(result.exception)


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
