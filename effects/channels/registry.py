"""The list of channels, from which the channel of each route is built. A channel is added by its line in `CHANNELS` and
its name in `ChannelName`.
"""

from collections.abc import Iterable, Mapping

from nightdesk.effects.channels import email, http, kafka, slack
from nightdesk.effects.channels.addresses import ChannelName, RouteAddress
from nightdesk.effects.channels.channel import Builders, Channel, ChannelPorts

CHANNELS: Builders = {
    "webhook": http.build(http.webhook_body),
    "slack": http.build(slack.slack_body),
    "pagerduty": http.build(http.pagerduty_body),
    "email": email.build,
    "kafka": kafka.build,
}
# Those that can close a message when what it was about is over.
CLOSING: frozenset[ChannelName] = frozenset({"pagerduty"})


def build(addresses: Iterable[RouteAddress], ports: ChannelPorts) -> Mapping[str, Channel]:
    """The channel of each route, by its name. Raises `RouteInvalid`."""
    return {address.name: CHANNELS[address.channel](address, ports) for address in addresses}
