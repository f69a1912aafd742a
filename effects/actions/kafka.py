"""Steps that produce a record to an outside topic, for other teams' programs to act on.

`registry.py` builds it for handlers of type kafka; the producer is a port that the bootstrap gives in.
"""

from collections.abc import Mapping
from typing import Protocol

import orjson

from effects.actions.protocol import Call, Result

MAX_VALUE_BYTES = 900_000  # brokers take 1 MB, with headers


class PublishFailed(Exception):
    """The broker did not confirm the record; it may be there all the same."""


class Publish(Protocol):
    """Produces one record and returns when the broker has it. Raises `PublishFailed`."""

    async def __call__(self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None: ...


class KafkaAction:
    """Produces the step's values as JSON under the subject.

    The header `idempotency-key` lets readers drop a record that came twice, as readers of any Kafka topic must: so the
    call is repeatable.
    """

    repeatable = True

    def __init__(self, topic: str, publish: Publish) -> None:
        self._topic = topic
        self._publish = publish

    async def run(self, call: Call) -> Result:
        value = orjson.dumps(call.request)
        if len(value) > MAX_VALUE_BYTES:
            return Result("failed", error=f"the record has {len(value)} bytes, {MAX_VALUE_BYTES} are allowed")
        headers = {"idempotency-key": call.idempotency_key.encode()}
        if call.traceparent is not None:
            headers["traceparent"] = call.traceparent.encode()
        try:
            await self._publish(self._topic, call.subject.encode(), value, headers)
        except PublishFailed as error:
            return Result("failed", error=str(error), retryable=True, answered=False)
        return Result("done", orjson.dumps({"topic": self._topic}).decode(), answered=True)
