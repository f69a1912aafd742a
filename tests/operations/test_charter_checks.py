"""What is wrong with each of several charter files, and what surprises their authors."""

from pathlib import Path
from shutil import copytree

import pytest

from nightdesk.messaging.failures import Failure
from nightdesk.operations.charter_checks import check_charters, missing_connection
from nightdesk.operations.charters import MAX_FILE_BYTES, load_charter

TRIAGE = Path(__file__).parents[2] / "charters" / "support-triage"


def test_each_file_has_its_own_result_in_the_order_given(tmp_path: Path) -> None:
    good, broken = copytree(TRIAGE, tmp_path / "good") / "charter.yaml", tmp_path / "broken.yaml"
    broken.write_text("agent: desk\nmode: sometimes\n")
    first, second = check_charters([broken, good], {"helpdesk": ()})
    assert (first.file, first.charter, first.is_ok) == (broken, None, False)
    assert any("mode" in problem.path for problem in first.problems)
    assert second.file == good
    assert second.charter is not None
    assert (second.charter.agent, second.is_ok, second.problems) == ("support-triage", True, ())


def test_an_agent_that_two_files_describe_is_a_problem_of_both(tmp_path: Path) -> None:
    files = [copytree(TRIAGE, tmp_path / name) / "charter.yaml" for name in ("a", "b")]
    for checked, other in zip(check_charters(files, {"helpdesk": ()}), reversed(files), strict=True):
        assert not checked.is_ok
        assert any(str(other) in problem.reason for problem in checked.problems)


def test_a_connection_that_is_not_set_is_a_warning_and_one_that_is_not_allowed_a_problem(tmp_path: Path) -> None:
    file = copytree(TRIAGE, tmp_path / "good") / "charter.yaml"
    [unset] = check_charters([file], {})
    assert unset.is_ok
    assert any("NIGHTDESK_CONNECTIONS__HELPDESK__BASE_URL" in warning.reason for warning in unset.warnings)
    [forbidden] = check_charters([file], {"helpdesk": ("another-agent",)})
    assert not forbidden.is_ok
    [allowed] = check_charters([file], {"helpdesk": ("support-triage",)})
    assert allowed.is_ok
    assert not any("CONNECTIONS" in warning.reason for warning in allowed.warnings)


def test_a_name_that_no_variable_can_have_is_set_in_the_json_object() -> None:
    assert "NIGHTDESK_CONNECTIONS__HELP_DESK__BASE_URL" in missing_connection("help_desk", ["reply.send"])
    assert "NIGHTDESK_CONNECTIONS with 'help-desk'" in missing_connection("help-desk", ["reply.send"])


def test_a_cap_of_a_case_below_one_question_does_not_pass(tmp_path: Path) -> None:
    """No model would ever be asked. `apply` and `check` both read a charter so."""
    file = copytree(TRIAGE, tmp_path / "poor") / "charter.yaml"
    text = file.read_text()
    file.write_text(text.replace("per_case_usd: 0.20", "per_case_usd: 0.002"))
    [checked] = check_charters([file], {"helpdesk": ()})
    assert not checked.is_ok
    [problem] = checked.problems
    assert (problem.path, problem.line) == ("budget.per_case_usd", text[: text.index("per_case_usd")].count("\n") + 1)
    assert "no model would ever be asked" in problem.reason


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("long.yaml")])
def test_a_file_without_end_is_refused_and_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """A device has the size 0."""
    monkeypatch.chdir(tmp_path)
    Path("long.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(Failure, match="more than 1000000 bytes"):
        load_charter(path)


def test_line_breaks_of_another_system_are_line_breaks(tmp_path: Path) -> None:
    file = copytree(TRIAGE, tmp_path / "good") / "charter.yaml"
    version = load_charter(file)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_charter(file) == version
