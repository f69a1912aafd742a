"""Steps that produce a record to a topic of another team."""

import orjson

from nightdesk.effects.handlers.answers import MAX_ERROR_CHARACTERS
from nightdesk.effects.handlers.handler_spec import HandlerInvalid, HandlerSpec, Ports
from nightdesk.effects.handlers.protocol import Handler, Publish, PublishFailed, StepCall
from nightdesk.processors.charter.handlers import CharterHandler, KafkaHandler
from nightdesk.processors.playbook import StepResult

MAX_VALUE_BYTES = 900_000  # brokers accept 1 MB, with headers


class KafkaStepHandler:
    """Produces the step's values as JSON with the subject as key.

    The header `idempotency-key` lets readers drop a duplicate, as readers of any Kafka topic must. So the call is
    repeatable.
    """

    repeatable = True

    def __init__(self, topic: str, publish: Publish) -> None:
        self._topic = topic
        self._publish = publish

    def preview(self, call: StepCall) -> StepResult:
        """The record that would be produced."""
        shown = {"topic": self._topic, "key": call.subject, "value": call.request}
        return StepResult("done", orjson.dumps(shown).decode())

    async def run(self, call: StepCall) -> StepResult:
        value = orjson.dumps(call.request)
        if len(value) > MAX_VALUE_BYTES:
            return StepResult("failed", error=f"the record has {len(value)} bytes, {MAX_VALUE_BYTES} are allowed")
        headers = {"idempotency-key": call.step_id.encode()}
        if call.traceparent is not None:
            headers["traceparent"] = call.traceparent.encode()
        try:
            await self._publish(self._topic, call.subject.encode(), value, headers)
        except PublishFailed as error:
            # Without an acknowledgement the broker may have the record nevertheless; readers drop a second one with the
            # same key.
            return StepResult("unknown", error=str(error)[:MAX_ERROR_CHARACTERS], retryable=True, answered=False)
        return StepResult("done", orjson.dumps({"topic": self._topic}).decode(), answered=True)


def _build(name: str, handler: CharterHandler, ports: Ports) -> Handler:
    assert isinstance(handler, KafkaHandler)
    if handler.topic not in ports.topics:
        known = ", ".join(sorted(ports.topics)) or "none"
        raise HandlerInvalid(
            f"handler {name}: topic {handler.topic!r} is not allowed in the settings; allowed: {known}."
            " Add it to NIGHTDESK_OUTSIDE_TOPICS"
        )
    return KafkaStepHandler(handler.topic, ports.publish)


SPEC = HandlerSpec("kafka", _build)
