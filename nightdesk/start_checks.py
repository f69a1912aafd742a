"""What a worker checks before it joins its stage."""

from __future__ import annotations

from confluent_kafka import KafkaException

from nightdesk.messaging.clients import new_admin
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.topics import AUDIT, CONTROL, WORKERS
from nightdesk.settings import Settings
from nightdesk.streams import catalog, twins
from nightdesk.streams.identity import Identity
from nightdesk.streams.runtime import faust_app
from nightdesk.streams.stage_spec import StageSpec

TIMEOUT_S = 10.0


def check_faust() -> None:
    """Check that the installed Faust is the version whose internals we rely on. Raises `Failure`."""
    try:
        faust_app.check_version()
    except faust_app.WrongFaust as error:
        raise Failure(
            str(error),
            "Install the locked packages: pip install --require-hashes -r requirements/core.txt",
            FailureKind.NOT_READY,
        ) from error


def check_topics(name: str, kafka: KafkaSettings) -> None:
    """Refuse to start without a topic that the stage needs: Faust would continue without a changelog and store nothing,
    and without `audit` or a topic for dead letters the process would end at its first record.
    """
    stage = catalog.BY_NAME[name]
    needed = [kafka.topic_prefix + topic.name for topic in (*stage.topics, CONTROL, WORKERS)]
    needed += stage.changelogs(kafka.topic_prefix)
    needed += [kafka.topic_prefix + topic for topic in _written_by_every_route(stage)]
    try:
        there = new_admin(kafka.client_config()).list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        raise Failure(
            f"Kafka at {kafka.bootstrap_servers} does not answer: {error}",
            "Start it, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS",
            FailureKind.UNREACHABLE,
        ) from error
    missing = [topic for topic in needed if topic not in there]
    if missing:
        raise Failure(
            f"topics are missing: {', '.join(missing)}", "Run `nightdesk topics apply`", FailureKind.NOT_READY
        )
    other = [topic for topic in needed if len(there[topic].partitions) != kafka.partitions]
    if other:
        raise Failure(
            f"topics without {kafka.partitions} partitions (NIGHTDESK_KAFKA__PARTITIONS): {', '.join(other)}",
            "All topics of an installation have the same number of partitions",
        )


def _written_by_every_route(stage: StageSpec) -> list[str]:
    """The audit, and the dead letters of what the stage reads."""
    read = [topic.name for topic in stage.topics]
    letters = [topic.dlq for topic in stage.topics if topic.dead_letters]
    return letters if AUDIT.name in read else [AUDIT.name, *letters]


def end_if_twin(me: Identity, settings: Settings, codec: Codec) -> None:
    """Stop if another process with this instance id is alive. Raises `Failure`."""
    try:
        twins.end_if_alive(me, settings.kafka.client_config(), settings.kafka.topic_prefix, codec)
    except KafkaException as error:
        raise Failure(
            f"cannot read which process runs as {me.instance_id}: {error}",
            "Run `nightdesk topics apply`",
            FailureKind.NOT_READY,
        ) from error
