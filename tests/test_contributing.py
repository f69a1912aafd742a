"""What contributors are told to run is what is run: hooks, hosted CI and the Makefile say the same commands."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def make_commands(target: str) -> list[str]:
    """The command lines of a target, with the variables of the Makefile filled in."""
    text = (ROOT / "Makefile").read_text()
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert found is not None, f"the Makefile has no target {target}"
    lines = [line.lstrip("\t@").removeprefix("exec ") for line in found[1].splitlines()]
    return [line.replace("$(PYTHON_IN_VENV)", ".venv/bin/python") for line in lines]


def test_the_hooks_before_a_commit_are_make_lint() -> None:
    [local] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == make_commands("lint")
    assert all(hook["language"] == "system" and hook["pass_filenames"] is False for hook in local["hooks"])


def test_hosted_ci_runs_what_a_person_runs() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands == [".ci/run", "make test-chart"]
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("exec make test")


def test_every_target_that_contributing_names_exists() -> None:
    named = set(re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert len(named) > 4
    for target in named:
        make_commands(target)


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release) for release in releases[1:])
    kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert kinds
    assert set(kinds) <= KINDS


def test_the_version_is_semantic() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", version)
