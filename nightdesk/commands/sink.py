"""`nightdesk sink`: the process that carries the audit topic into ClickHouse."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from nightdesk.exits import Failure
from nightdesk.interpreter import spare_the_collector
from nightdesk.logs import configure_logging
from nightdesk.registered_codec import registered_codec
from nightdesk.settings import Settings, load_settings
from schemas.topics import AUDIT
from sinks.audit.dead_letters import DeadLetterNotDelivered
from sinks.audit.sink import Fenced, SinkSettings, run
from streams.runtime.naming import group_id

STAGE = "sink"


def sink() -> None:
    """Carry audit records into ClickHouse until SIGTERM. While ClickHouse is away they wait in Kafka."""
    settings = load_settings()
    configure_logging(settings.log)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        with registered_codec(settings) as codec:
            spare_the_collector()
            run(sink_settings(settings), codec, stop)
    except DeadLetterNotDelivered as error:
        raise Failure(
            f"stopped, because a dead letter was not delivered: {error}", "Run `nightdesk topics apply`"
        ) from error
    except Fenced as error:
        raise Failure(
            f"the place of {settings.worker.instance_id} in the group was taken ({error})",
            "Start it again; if that happens often, give each sink its own NIGHTDESK_WORKER__INSTANCE_ID",
        ) from error


def sink_settings(settings: Settings) -> SinkSettings:
    """What the sink needs of the settings, as plain values."""
    return SinkSettings(
        kafka=settings.kafka.client_config(),
        clickhouse=settings.clickhouse.client_arguments(),
        topic=settings.kafka.topic_prefix + AUDIT.name,
        group_id=group_id(settings.kafka.topic_prefix, STAGE),
        instance_id=settings.worker.instance_id,
        session_timeout_s=settings.worker.session_timeout_s,
        metrics_port=settings.worker.metrics_port,
    )
