"""A stage needs only the API and no runtime: each module of it can be imported without Faust and a Kafka consumer."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT_FAUST = """
import importlib, sys
for blocked in ("faust", "mode", "aiokafka"):
    sys.modules[blocked] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
loaded = [name for name in sys.modules if name.startswith("nightdesk.streams.runtime.")]
print(" ".join(sorted(loaded)))
"""
# What a control needs of the runtime: the clock that runs on in a suspended machine.
LOADED_WITH_A_STAGE = {"nightdesk.streams.runtime.process", "nightdesk.streams.runtime.process.boottime"}


def test_every_stage_and_its_driver_are_imported_without_faust() -> None:
    stages = sorted((ROOT / "streams" / "stages").glob("*.py"))
    names = [f"nightdesk.streams.stages.{path.stem}" for path in stages if path.stem != "__init__"]
    assert len(names) > 10
    command = [sys.executable, "-c", WITHOUT_FAUST, *names, "nightdesk.streams.in_memory", "nightdesk.streams.catalog"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == LOADED_WITH_A_STAGE
