"""The endpoints that every operation uses."""

from __future__ import annotations

from typing import Protocol

from nightdesk.messaging.settings import Endpoints
from nightdesk.sinks.settings import ClickHouseSettings


class Installation(Endpoints, Protocol):
    """The endpoints of one installation. `nightdesk.settings.Settings` implements it."""

    @property
    def clickhouse(self) -> ClickHouseSettings: ...
