"""Checks before a stage joins its group whether another process with this instance id is alive.

Two processes with one id evict each other from the group forever, both sometimes ready. So a process that finds another
one's report under its id waits a few intervals for the next. If it comes, the other process lives, and this one exits.
No clock is compared: the log tells which report is newer.
"""

import logging
import os
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from nightdesk.messaging.clients import ClientConfig, new_reader
from nightdesk.messaging.log_offsets import Place
from nightdesk.messaging.topic_reader import read_to_end
from nightdesk.schemas.codec import Codec, Undecodable
from nightdesk.schemas.records import WorkerReport
from nightdesk.schemas.topics import WORKERS
from nightdesk.streams.api import system_clock
from nightdesk.streams.identity import Identity
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop
from nightdesk.streams.worker_reports import DELIVERY_TIMEOUT_S, EVERY_S, reports_producer, send

# A process with a busy loop may be silent for more than one interval.
WAIT_S = 3 * EVERY_S
ANSWER_WITHIN_S = 10.0

log = logging.getLogger(__name__)


def end_if_alive(me: Identity, client_config: ClientConfig, topic_prefix: str, codec: Codec) -> None:
    """Exits the process (`TWIN`) if another one with its id is alive. Raises `KafkaException`."""
    twin = _living(me, client_config, topic_prefix, codec)
    if twin is None:
        return
    refused = me.report("refused", system_clock()).model_copy(update={"key": f"{me.key}/refused"})
    producer = reports_producer(client_config)
    send(producer, topic_prefix, refused.key, codec.encode(refused))
    producer.flush(DELIVERY_TIMEOUT_S)
    fail_stop(
        ExitCode.TWIN,
        f"another {me.stage} worker runs as {me.instance_id}: process {twin.pid} on {twin.host}, since"
        f" {twin.started_at:%Y-%m-%d %H:%M:%S} UTC. Give each worker of a stage an instance id of its own"
        " (NIGHTDESK_WORKER__INSTANCE_ID), or stop the other one",
    )


def _living(me: Identity, client_config: ClientConfig, topic_prefix: str, codec: Codec) -> WorkerReport | None:
    consumer = new_reader(client_config, "nightdesk-twins")
    try:
        last = _last_under(me.key, consumer, (topic_prefix + WORKERS.name, WORKERS.partition))
        other = _of_another(last, me, codec)
        if other is None or other.state == "stopped" or _is_gone(other, me):
            return None
        until = time.monotonic() + WAIT_S
        while (left_s := until - time.monotonic()) > 0:
            following = _poll(consumer, left_s)
            if following is not None and following.key() == me.key.encode():
                newer = _of_another(following, me, codec)
                if newer is not None:
                    return newer if newer.state != "stopped" else None
        return None
    finally:
        consumer.close()


def _last_under(key: str, consumer: Consumer, place: Place) -> Message | None:
    """The last record under a key, up to the end of the log at the start, because other workers continue to report."""
    last = None
    for message in read_to_end(consumer, [place], ANSWER_WITHIN_S):
        last = message if message.key() == key.encode() else last
    return last


def _is_gone(other: WorkerReport, me: Identity) -> bool:
    """Whether the operating system knows that the other process has exited: then there is nothing to wait for."""
    if not me.pid_space or other.pid_space != me.pid_space:
        return False
    try:
        os.kill(other.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return other.pid == me.pid


def _poll(consumer: Consumer, within_s: float) -> Message | None:
    """The next record; None at the end of the log, or if nothing comes in time. Raises `KafkaException`."""
    message = consumer.poll(within_s)
    error = None if message is None else message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    return None if error is not None else message


def _of_another(message: Message | None, me: Identity, codec: Codec) -> WorkerReport | None:
    """The report, if it is another process's. One that cannot be read keeps nobody from starting."""
    value = None if message is None else message.value()
    if value is None:
        return None
    try:
        report = codec.decode(WorkerReport, value)
    except Undecodable as error:
        log.error("a report on %s is skipped: %r", WORKERS.name, error)
        return None
    return None if report.token == me.token else report
