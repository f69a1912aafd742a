"""`python -m benchmarks --short` does the whole job and says so; how fast is nobody's business here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_short_run_acts_once_for_each_event_and_ends_with_the_ratio(stack_home: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--short"]
    environment = os.environ | {"TMPDIR": str(stack_home)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"ratio to floor: \d+\.\d\d", run.stdout.splitlines()[-1]), run.stdout
    for measured in (
        "events/s, decision at once (300)",
        "p99 ms",
        "p50 ms from act to action",
        "decisions in flight",
        "CPU seconds per 1,000",
    ):
        assert measured in run.stdout
