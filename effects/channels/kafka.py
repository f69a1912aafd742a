"""The channel that writes to a topic of another team, as the webhook's JSON."""

import orjson

from nightdesk.effects.channels.addresses import RouteAddress, RouteInvalid
from nightdesk.effects.channels.channel import Channel, ChannelPorts
from nightdesk.effects.channels.http import webhook_body
from nightdesk.effects.handlers.protocol import Publish, PublishFailed
from nightdesk.processors.notifications import Message
from nightdesk.processors.playbook import StepResult


class KafkaChannel:
    """One record for each message, with the name of its route as key and the header `idempotency-key`."""

    def __init__(self, address: RouteAddress, publish: Publish) -> None:
        self._address = address
        self._publish = publish

    async def send(self, message: Message) -> StepResult:
        value = orjson.dumps(webhook_body(message, self._address))
        try:
            headers = {"idempotency-key": message.key.encode()}
            await self._publish(self._address.topic, message.route.encode(), value, headers)
        except PublishFailed as error:
            return StepResult("failed", error=str(error)[:300], retryable=True)
        return StepResult("done", answered=True)


def build(address: RouteAddress, ports: ChannelPorts) -> Channel:
    """Raises `RouteInvalid`."""
    if address.topic not in ports.topics:
        raise RouteInvalid(
            f"route {address.name}: topic {address.topic!r} is not allowed: add it to NIGHTDESK_OUTSIDE_TOPICS"
        )
    return KafkaChannel(address, ports.publish)
