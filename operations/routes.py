"""Reads the states of the notification routes from the batches that the notify stage has written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from nightdesk.messaging.topic_reader import read_table
from nightdesk.operations.installation import Installation
from nightdesk.processors.notifications import Batch, RouteState, route_states
from nightdesk.streams.stages.notification_records import last_key
from nightdesk.streams.stages.notify import Notify

TABLE = "batches"


def read_routes(installation: Installation) -> dict[str, RouteState]:
    """Every route to which something was to be sent, by name. Raises `Failure`."""
    return states_of(read_table(installation.kafka, Notify.name, TABLE), datetime.now(UTC))


def states_of(rows: Mapping[bytes, bytes], now: datetime) -> dict[str, RouteState]:
    """The states of the routes from the rows of the table."""
    return route_states(_batches(rows.items()), now)


def _batches(rows: Iterable[tuple[bytes, bytes]]) -> Iterable[Batch]:
    for key, value in rows:
        batch = Batch.model_validate_json(value)
        if key.decode() != last_key(batch.route, batch.event_class):
            yield batch
