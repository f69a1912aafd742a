"""Applies the records of the topic `control`."""

import logging

from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import ControlCommand
from nightdesk.schemas.topics import CONTROL
from nightdesk.streams.control import Control
from nightdesk.streams.known_charters import UNREADABLE
from nightdesk.streams.metrics import UNREADABLE_ORDERS

log = logging.getLogger(__name__)


def apply_record(control: Control, codec: Codec, value: bytes | None, offset: int = -1) -> None:
    """Apply an order from the log. Raises `RegistryUnavailable`, because the order may be one to stop.

    An order that cannot be decoded must not block the others, so it is skipped; its writer checked it.
    """
    if value is None:
        return
    try:
        control.apply(codec.decode(ControlCommand, value), offset)
    except UNREADABLE as error:
        UNREADABLE_ORDERS.inc()
        log.error("an order on %s is skipped: %r", CONTROL.name, error)
