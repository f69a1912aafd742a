"""Two installations on the topics of one prefix."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from nightdesk.local.child import dying_with_this_process
from nightdesk.local.parts import python_module
from nightdesk.operations.orders import read_control
from nightdesk.settings import Settings
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.nightdesk.command_line import CommandLine
from tests.processors.examples import CHARTER, FILES

NOT_CONFIGURED = 6
# Only a worker that goes on takes so long.
ENDS_WITHIN_S = 120


def test_another_installation_neither_applies_charters_nor_runs_a_worker(
    nightdesk: CommandLine, topics: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {"charter.yaml": CHARTER, **FILES}.items():
        (tmp_path / name).write_text(content)
    apply = ("charter", "apply", str(tmp_path / "charter.yaml"), "--promote")
    assert nightdesk(*apply).code == 0
    assert nightdesk(*apply).code == 0, "the same installation again"
    assert read_control(topics).installation == "nightdesk"
    monkeypatch.setenv("NIGHTDESK_INSTALLATION", "other/night")
    before = read_control(topics).read_up_to
    refused = nightdesk(*apply)
    assert refused.code == NOT_CONFIGURED
    assert "belong to the installation nightdesk, and this is other/night" in refused.err
    assert nightdesk("sink").code == NOT_CONFIGURED
    assert read_control(topics).read_up_to == before, "nothing was ordered"
    # The command line has put the endpoints into this process's environment.
    command = dying_with_this_process(python_module("nightdesk", "worker", "timers"))
    run = subprocess.run(
        command, env=os.environ, capture_output=True, text=True, check=False, timeout=ENDS_WITHIN_S, cwd=tmp_path
    )
    assert run.returncode == ExitCode.NOT_OUR_TOPICS, run.stderr[-2000:]
    assert "belong to the installation nightdesk" in run.stderr
    assert nightdesk("topics", "claim").code != 0, "it has to be meant"
    assert nightdesk("topics", "claim", "--yes").code == 0
    assert nightdesk(*apply).code == 0
