"""`kafka` handlers produce to the topics that the settings allow, over a real broker as in the act stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from nightdesk.bootstrap import Outside
from nightdesk.effects.handlers.handler_spec import HandlerInvalid
from nightdesk.processors.charter.compiled import CompiledCharter, compile_charter
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.playbook import RunStep
from nightdesk.settings import Settings
from nightdesk.streams.api import system_clock
from nightdesk.streams.control import Control
from nightdesk.streams.ports import Actions

STEP = RunStep(step_id="step-1", position=0, handler="tell", request={"amount": 5}, undo=False, begun=False)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def topic(stack_settings: Settings) -> Iterator[str]:
    name = f"others.{uuid4().hex[:12]}"
    admin = AdminClient(stack_settings.kafka.client_config())
    admin.create_topics([NewTopic(name, 1)])[name].result(30)
    yield name
    admin.delete_topics([name])[name].result(30)


def charter(topic: str) -> CompiledCharter:
    return compile_charter(
        Charter.model_validate(
            {
                "agent": "teller",
                "on": [{"type": "ticket.created"}],
                "decide": {"provider": "rules"},
                "actions": {"refund": {"kind": "respond"}},
                "handlers": {"tell": {"type": "kafka", "topic": topic}},
                "fallback": [{"action": "refund"}],
            }
        )
    )


def actions(settings: Settings, *allowed: str) -> Actions:
    session = settings.worker.model_copy(update={"session_timeout_s": 6})
    told = settings.model_copy(update={"outside_topics": frozenset(allowed), "worker": session})
    return Outside(told, Control(), system_clock).actions()


def read_one(settings: Settings, topic: str) -> Any:
    consumer = Consumer(settings.kafka.client_config() | {"group.id": f"reader-of-{topic}"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        found = consumer.poll(30)
        assert found is not None
        assert found.error() is None
        return found
    finally:
        consumer.close()


async def test_a_record_arrives_under_the_subject_with_its_idempotency_key(
    stack_settings: Settings, topic: str
) -> None:
    outside = actions(stack_settings, topic)
    done = await outside.perform(charter(topic), STEP, "ticket-1", TRACE)
    await outside.close()
    assert (done.status, done.answered) == ("done", True)
    record = read_one(stack_settings, topic)
    assert (record.key(), orjson.loads(record.value())) == (b"ticket-1", {"amount": 5})
    assert dict(record.headers()) == {"idempotency-key": b"step-1", "traceparent": TRACE.encode()}


async def test_what_the_broker_does_not_take_is_unknown(stack_settings: Settings) -> None:
    missing = f"others.{uuid4().hex[:12]}"
    outside = actions(stack_settings, missing)
    done = await outside.perform(charter(missing), STEP, "ticket-1", TRACE)
    await outside.close()
    assert (done.status, done.retryable, done.answered) == ("unknown", True, False)
    assert missing in (done.error or "")


async def test_a_topic_that_the_settings_do_not_name_is_refused(stack_settings: Settings, topic: str) -> None:
    outside = actions(stack_settings, "others.else")
    with pytest.raises(HandlerInvalid, match=r"allowed: others\.else\. Add it to NIGHTDESK_OUTSIDE_TOPICS"):
        await outside.perform(charter(topic), STEP, "ticket-1", TRACE)
    await outside.close()
