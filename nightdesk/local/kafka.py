"""Apache Kafka as one process: KRaft broker and controller in one, on loopback only."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException

from nightdesk.local.artifacts import Cache, Program
from nightdesk.local.java import java
from nightdesk.local.parts import LOOPBACK, UTF8, Part
from nightdesk.local.ports import listens
from nightdesk.local.progress import Report
from nightdesk.messaging.clients import new_admin
from nightdesk.messaging.failures import Failure

KAFKA = Program(
    "org.apache.kafka",
    "kafka_2.13",
    "4.1.1",
    digest="393b6183ea30541e740d0c3b0ac8a681298e703cb63da7602a9fcf4df3ad0aa6",
)
HEAP_MB = 512


@dataclass(frozen=True, slots=True)
class KafkaPorts:
    broker: int
    controller: int


def kafka_part(home: Path, ports: KafkaPorts, cache: Cache, report: Report) -> Part:
    """Download Kafka and format its storage if necessary, and return the part that runs it."""
    class_path = f"{cache.folder(KAFKA, report).resolve()}/*"
    data = home / "kafka"
    data.mkdir(parents=True, exist_ok=True)
    properties = home / "kafka.properties"
    properties.write_text(_properties(data, ports), encoding="ascii")
    if not (data / "meta.properties").exists():
        _format(class_path, properties)
    log_level = "-Dorg.apache.logging.log4j.level=INFO"
    return Part(
        name="kafka",
        where=f"{LOOPBACK}:{ports.broker}",
        command=java(log_level, "-cp", class_path, "kafka.Kafka", str(properties), heap_mb=HEAP_MB),
        is_ready=lambda: listens(ports.broker) and _answers(ports.broker),
        is_alive=lambda: _answers(ports.broker),
        grace_s=20.0,
    )


def _answers(port: int) -> bool:
    client = new_admin({"bootstrap.servers": f"{LOOPBACK}:{port}", "log_level": 0})
    try:
        return bool(client.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def _format(class_path: str, properties: Path) -> None:
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
    command = java(
        "-cp", class_path, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties), heap_mb=128
    )
    result = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", env=os.environ | UTF8, check=False
    )
    if result.returncode != 0:
        output = (result.stderr or result.stdout).strip()
        raise Failure(f"Kafka could not format its storage: {output[-500:]}", f"Remove {properties.parent / 'kafka'}")


def _properties(data: Path, ports: KafkaPorts) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{ports.controller}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{ports.broker},CONTROLLER://{LOOPBACK}:{ports.controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{ports.broker}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data.resolve(),
        # Only `nightdesk topics apply` creates topics: an unknown name must fail.
        "auto.create.topics.enable": "false",
        # As long as the topics keep records. By default it is a week: a stage that stood still for longer would begin
        # where its topics begin.
        "offsets.retention.minutes": 30 * 24 * 60,
        # There is one broker.
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # Fewer and smaller files than in production, so that start and stop take a second.
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.num.partitions": 4,
        "log.segment.bytes": 128 * 1024 * 1024,
        "log.index.size.max.bytes": 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        # One machine, a dozen clients: more threads only compete.
        "num.network.threads": 1,
        "num.io.threads": 2,
        # A single worker need not wait for others to join; tests of failures need short sessions.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
    }
    return "".join(f"{name}={_value(str(value))}\n" for name, value in settings.items())


def _value(text: str) -> str:
    """`text` as the value of a Java property: such a file is read as Latin-1, so all other characters are escaped."""
    units = text.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[place : place + 2], "big") for place in range(0, len(units), 2))
    return "".join(chr(code) if code < 0x80 else f"\\u{code:04x}" for code in codes)
