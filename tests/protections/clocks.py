"""The protection of a process whose wall clock is set back while its Kafka client waits by it."""

import os
import subprocess
import sys
from pathlib import Path

from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.own_clock import clock_environment, set_clock
from tests.protections.trial import Ground, Trial

ROOT = Path(__file__).parents[2]
HOUR_S = 3600
NOTICED_WITHIN_S = 20.0
POLLS = """
from nightdesk.messaging.clients import new_producer
from nightdesk.streams.runtime.process.clock_watch import ClockWatch
if {protected}:
    ClockWatch().start()
producer = new_producer({{"bootstrap.servers": "127.0.0.1:9", "log_level": 0}})
print("polls", flush=True)
while True:
    producer.poll(1.0)
"""


def clock_set_back(ground: Ground, protected: bool) -> list[str]:
    """A producer waits for reports, a second at a time. Meanwhile the clock is set back by an hour."""
    clock = ground.home / f"clock-{protected}"
    set_clock(clock, HOUR_S)
    command = [sys.executable, "-c", POLLS.format(protected=protected)]
    environment = {**os.environ, **clock_environment(clock)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "polls\n"
        set_clock(clock, 0)
        try:
            status = process.wait(NOTICED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return ["alive, with a client that stands still for an hour"]
    return [] if status == ExitCode.CLOCK_SET_BACK else [f"ended with {status}"]


TRIALS = (Trial("clock_watch", clock_set_back.__name__, clock_set_back),)
