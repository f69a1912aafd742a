"""`python -m tests.streams.fault_injection`: a storm on a broker of its own, for as long as you like.

The exit status is 1 if it found a violation.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from nightdesk.local.stack import LocalStack
from tests.streams.fault_injection.broker import Broker
from tests.streams.fault_injection.storm import Weather, blow


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.streams.fault_injection", description=__doc__)
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bootstrap-servers", help="a broker that runs already")
    arguments = parser.parse_args()
    weather = Weather(arguments.events, arguments.faults, arguments.seed)
    home = Path(tempfile.mkdtemp(prefix="storm-"))
    with _broker(arguments.bootstrap_servers, home) as address:
        broker = Broker(address, f"storm-{uuid4().hex[:8]}.")
        broker.create_topics()
        outcome = blow(broker, weather, home)
    print(f"faults: {dict(outcome.faults)}, exits: {dict(outcome.exits)}")
    print(f"said again: {outcome.findings.said_again}, {outcome.seconds:.0f} s, logs: {home}")
    print(outcome.line(weather))
    for problem in outcome.findings.problems:
        print(problem, file=sys.stderr)
    return 1 if outcome.findings.problems else 0


@contextmanager
def _broker(given: str | None, home: Path) -> Iterator[str]:
    if given:
        yield given
        return
    with LocalStack.on_free_ports(home) as stack:
        yield stack.settings.kafka.bootstrap_servers


if __name__ == "__main__":
    sys.exit(main())
