"""`.ci/install` on machines that lack something. Every test run shows what it does if nothing is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / ".ci" / "install"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "clone" / ".ci").mkdir(parents=True)
    shutil.copy(INSTALL, tmp_path / "clone" / ".ci")
    return tmp_path / "clone"


def _says(version: str, optimised: bool, folder: Path, name: str) -> None:
    """A Python of some version at `folder/name`, which creates no environment and reports that it was asked to."""
    arguments = "--enable-optimizations" if optimised else ""
    program = folder / name
    program.write_text(
        f"""#!{sys.executable}
import sys, sysconfig
if sys.argv[1] == "--version":
    print("Python {version} of {name}")
elif sys.argv[1] == "-c":
    sys.version_info = (*map(int, "{version}".split(".")), 0)
    sys.base_prefix = "/opt"
    sysconfig.get_config_var = {{"CONFIG_ARGS": "{arguments}"}}.get
    exec(sys.argv[2])
else:
    sys.exit("no environment from {name}")
"""
    )
    program.chmod(0o755)


def _install(clone: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder}{os.pathsep}{os.defpath}"
    return subprocess.run(
        [clone / ".ci" / "install", "core"],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_of_several_it_takes_one_that_was_built_with_optimisation(clone: Path, tmp_path: Path) -> None:
    _says("3.12", optimised=False, folder=tmp_path, name="python3.12")
    _says("3.13", optimised=True, folder=tmp_path, name="python3.13")
    assert "making .venv with Python 3.13 of python3.13" in _install(clone, tmp_path).stdout


def test_the_named_one_is_taken_however_it_was_built(clone: Path, tmp_path: Path) -> None:
    _says("3.12", optimised=False, folder=tmp_path, name="mine")
    _says("3.13", optimised=True, folder=tmp_path, name="python3.13")
    assert "making .venv with Python 3.12 of mine" in _install(clone, tmp_path, PYTHON="mine").stdout


@pytest.mark.parametrize("name", ["old", "absent"])
def test_a_named_one_that_will_not_do_is_an_error_and_no_other_is_taken(clone: Path, tmp_path: Path, name: str) -> None:
    _says("3.10", optimised=True, folder=tmp_path, name="old")
    ended = _install(clone, tmp_path, PYTHON=name)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"error: PYTHON={name} is no Python 3.11 to 3.14" in ended.stderr
