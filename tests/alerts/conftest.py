"""Prometheus and promtool: those of this machine, or Debian's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_APT = 69


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with `prometheus` and `promtool`."""
    there = shutil.which("promtool")
    if there and shutil.which("prometheus"):
        return Path(there).parent
    folder = ROOT / ".nightdesk" / "tools" / "prometheus"
    result = subprocess.run([ROOT / ".ci" / "prometheus", folder], capture_output=True, text=True, check=False)
    if result.returncode == NO_APT:
        pytest.skip("there is no promtool here and no apt to get it with: install Prometheus")
    assert result.returncode == 0, result.stderr
    return folder / "usr" / "bin"
