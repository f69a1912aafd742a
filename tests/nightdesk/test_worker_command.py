"""`nightdesk worker` with several stages: its children stand for the stages' processes."""

import sys

import pytest

from tests.orphans import orphans

SEVERAL = r"""
import sys
from nightdesk.commands import worker
# In one write, because both write to one pipe.
stay = "import os, time; os.write(1, f'{os.getpid()}\\n'.encode()); time.sleep(600)"
worker.python_module = lambda *_command: (sys.executable, "-c", stay)
worker._run_apart(["decide", "act"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_no_stage_outlives_the_command_that_was_killed() -> None:
    assert orphans(SEVERAL, children=2) == []
