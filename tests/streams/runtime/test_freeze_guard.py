"""A process that was frozen ends before it does anything else; one that was only busy does not."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from nightdesk.streams.runtime.process.fail_stop import ExitCode

ROOT = Path(__file__).parents[3]
FROZEN_AFTER_S = 1.5

BEATING = f"""
import asyncio
from nightdesk.streams.runtime.process.liveness import FreezeGuard

async def main() -> None:
    guard = FreezeGuard({FROZEN_AFTER_S})
    beat = asyncio.create_task(guard.beat())
    await asyncio.sleep(0.2)
    print("alive", flush=True)
    EFFECT
    print("acted", flush=True)

asyncio.run(main())
"""
# What wakes first: the beat, or whoever is about to act.
ACTING = {"beat": "await beat", "effect": "import time; time.sleep(3); guard.check()"}


def _run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("wakes", ACTING)
def test_a_process_that_was_frozen_ends_when_it_wakes(wakes: str) -> None:
    program = dedent(BEATING).replace("EFFECT", ACTING[wakes])
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "alive\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(FROZEN_AFTER_S * 2)
        process.send_signal(signal.SIGCONT)
        assert process.wait(30) == ExitCode.FROZEN
        assert process.stdout.read() == "", "nothing was done after it woke"


def test_what_was_before_the_loop_is_no_pause() -> None:
    """Building the stages takes longer on a slow machine than a process may be frozen."""
    slow = f"import time; time.sleep({FROZEN_AFTER_S * 1.5}); beat = asyncio.create_task(guard.beat())"
    program = (
        dedent(BEATING).replace("beat = asyncio.create_task(guard.beat())", slow).replace("EFFECT", "guard.check()")
    )
    ended = _run(program)
    assert (ended.returncode, ended.stdout) == (0, "alive\nacted\n"), ended.stderr


def test_a_process_that_beats_goes_on() -> None:
    program = dedent(BEATING).replace("EFFECT", f"await asyncio.sleep({FROZEN_AFTER_S * 2}); guard.check()")
    ended = _run(program)
    assert (ended.returncode, ended.stdout) == (0, "alive\nacted\n"), ended.stderr
