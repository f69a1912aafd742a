"""A record for an outside topic: confirmed, not confirmed, too large."""

from collections.abc import Mapping

import orjson

from nightdesk.effects.handlers.answers import MAX_ERROR_CHARACTERS
from nightdesk.effects.handlers.kafka import MAX_VALUE_BYTES, KafkaStepHandler
from nightdesk.effects.handlers.protocol import PublishFailed
from tests.effects.handlers.conftest import call

Sent = list[tuple[str, bytes, bytes, Mapping[str, bytes]]]


def action(sent: Sent, error: str = "") -> KafkaStepHandler:
    async def publish(topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None:
        sent.append((topic, key, value, headers))
        if error:
            raise PublishFailed(error)

    return KafkaStepHandler("refunds", publish)


async def test_what_goes_out() -> None:
    sent: Sent = []
    result = await action(sent).run(call(amount=5))
    [(topic, key, value, headers)] = sent
    assert (topic, key, orjson.loads(value), headers["idempotency-key"]) == (
        "refunds", b"ticket-1", {"amount": 5}, b"step-1"
    )  # fmt: skip
    assert result.status == "done"


async def test_what_was_not_confirmed_may_be_there() -> None:
    result = await action([], "no acknowledgement in 20 s" + "!" * 10_000).run(call())
    assert (result.status, result.retryable, result.answered) == ("unknown", True, False)
    assert len(result.error or "") <= MAX_ERROR_CHARACTERS


async def test_what_no_topic_takes_is_not_sent() -> None:
    sent: Sent = []
    result = await action(sent).run(call(text="x" * MAX_VALUE_BYTES))
    assert (result.status, result.retryable, sent) == ("failed", False, [])
