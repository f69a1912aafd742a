"""`nightdesk up` as a person starts and stops it, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from nightdesk.local.stack import FREE_PORTS
from nightdesk.running_stack import running_stack
from nightdesk.settings import load_settings

PORTS = {f"NIGHTDESK_LOCAL__{name.upper()}": "0" for name in type(FREE_PORTS).model_fields if name.endswith("_port")}
PORTS["NIGHTDESK_CONSOLE__PORT"] = "0"


def test_ctrl_c_stops_every_child_and_is_no_failure(tmp_path: Path) -> None:
    cache = load_settings().local.cache or Path(".nightdesk") / "cache"
    environment = os.environ | PORTS | {"NIGHTDESK_HOME": str(tmp_path), "NIGHTDESK_LOCAL__CACHE": str(cache)}
    command = [sys.executable, "-m", "nightdesk", "up", "--no-stages"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while running_stack(tmp_path) is None:
            assert process.poll() is None, "it ended by itself"
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert process.returncode == 0
    assert said.endswith("stopped\n")
    assert len(children) == 4
    assert not [child for child in children if child.is_running()]
    assert running_stack(tmp_path) is None
