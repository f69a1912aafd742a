"""`nightdesk sink`: the process that writes the audit topic to ClickHouse."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from types import FrameType

from nightdesk.interpreter import freeze_gc
from nightdesk.logs import configure_logging
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.naming import group_id
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.settings import plain
from nightdesk.operations.installation_claim import check_installation
from nightdesk.schemas.topics import AUDIT, FORGOTTEN
from nightdesk.settings import Settings, load_settings
from nightdesk.sinks.audit.consumer import Fenced
from nightdesk.sinks.audit.dead_letters import DeadLetterNotDelivered
from nightdesk.sinks.audit.forgotten import FORGET_KEY_REMEDY, KeyNotFit
from nightdesk.sinks.audit.policy import SinkSettings
from nightdesk.sinks.audit.sink import run
from nightdesk.streams.runtime.membership.topic_watch import TopicWatch
from nightdesk.streams.runtime.process.clock_watch import ClockWatch

STAGE = "sink"


def sink() -> None:
    """Write audit records to ClickHouse until SIGTERM. While ClickHouse is away they wait in Kafka."""
    settings = load_settings()
    configure_logging(settings.log)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    ClockWatch().start()
    try:
        check_installation(settings, settings.installation)
        with registered_codec(settings) as codec:
            freeze_gc()
            settings_of_sink = sink_settings(settings)
            watch = TopicWatch(settings_of_sink.kafka, [settings_of_sink.topic])
            watch.start()
            run(replace(settings_of_sink, topic_id=watch.asked_topic_id), codec, stop)
    except DeadLetterNotDelivered as error:
        raise Failure(
            f"stopped, because a dead letter was not delivered: {error}", "Run `nightdesk topics apply`"
        ) from error
    except KeyNotFit as error:
        raise Failure(str(error), FORGET_KEY_REMEDY, FailureKind.NOT_CONFIGURED) from error
    except Fenced as error:
        raise Failure(
            f"another process took the place of {settings.worker.instance_id} in the group ({error})",
            "Start it again; if that happens often, give each sink its own NIGHTDESK_WORKER__INSTANCE_ID",
        ) from error


def sink_settings(settings: Settings) -> SinkSettings:
    """The sink's part of the settings, as plain values."""
    return SinkSettings(
        kafka=settings.kafka.client_config(),
        clickhouse=settings.clickhouse.client_arguments(),
        topic=settings.kafka.topic_prefix + AUDIT.name,
        group_id=group_id(settings.kafka.topic_prefix, STAGE),
        forgotten_topic=settings.kafka.topic_prefix + FORGOTTEN.name,
        instance_id=settings.worker.instance_id,
        session_timeout_s=settings.worker.session_timeout_s,
        metrics_port=settings.worker.metrics_port,
        metrics_host=settings.worker.metrics_host,
        forget_key=plain(settings.clickhouse.forget_key),
    )
