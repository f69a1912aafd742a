"""`python -m benchmarks.audit` measures everything that it names; how fast is nobody's business here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from nightdesk.sinks.questions import QUESTIONS

ROOT = Path(__file__).parent.parent.parent
LAST_LINE = r"audit: landing ratio \d+\.\d\d, worst p95 \d+ ms at 990 decisions"


def test_a_small_run_asks_every_question_and_ends_with_the_result(stack_home: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.audit", "--cases", "1000", "--times", "2"]
    environment = os.environ | {"TMPDIR": str(stack_home)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert re.fullmatch(LAST_LINE, lines[-1]), run.stdout
    for question in QUESTIONS:
        assert any(line.startswith(question.name) for line in lines), question.name
    assert any(line.startswith("landing: ") for line in lines)
