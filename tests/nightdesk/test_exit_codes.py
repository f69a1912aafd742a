"""The exit codes: every kind of failure has its own, and `--help` and the reference name each."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nightdesk.cli import HELP, app
from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import FailureKind

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"


def test_every_kind_of_failure_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(FailureKind)
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert 0 not in EXIT_CODES.values()


def test_an_error_of_ours_is_pythons_traceback_and_shows_no_values() -> None:
    """Typer's own shows the values of variables in some versions, and a variable may have a secret."""
    assert app.pretty_exceptions_enable is False


def test_the_help_and_the_reference_document_every_exit_code() -> None:
    codes = {0, *EXIT_CODES.values()}
    section = REFERENCE.read_text().split("## Exit codes")[1].split("\n## ")[0]
    in_reference = {int(number) for number in re.findall(r"^\| (\d) \|", section, re.MULTILINE)}
    in_help = {int(number) for number in re.findall(r"\b(\d) ", HELP.split("Exit codes:")[1])}
    assert in_reference == in_help == codes


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_an_empty_one(closed: str) -> None:
    """As in a job of cron or a daemon."""
    for command, code in (("version", 0), ("produce /nowhere", 2)):
        shell = f'"{sys.executable}" -m nightdesk {command} {closed}'
        ended = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
        assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr
