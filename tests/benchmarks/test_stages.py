"""`python -m benchmarks.stages` passes each event through all stages; how fast is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
COMMAND = (sys.executable, "-m", "benchmarks.stages", "--events", "20", "--rounds", "1")


def run(*arguments: str) -> str:
    done = subprocess.run((*COMMAND, *arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_stage_and_the_called_system_have_a_row() -> None:
    rows = json.loads(run("--output", "json"))
    assert [row["process"] for row in rows] == ["ingest", "budget", "decide", "act", "notify", "counting server"]
    assert all(row["least us"] <= row["median us"] <= row["most us"] for row in rows)


def test_a_profile_has_the_functions_of_the_stage() -> None:
    assert "stages/act.py" in run("--profile", "act")
