"""Tracks other producers' open transactions for one stage."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nightdesk.messaging.log_offsets import Bounds, Place
from nightdesk.messaging.transactions import OpenTransaction, open_transaction
from nightdesk.streams.metrics import OPEN_TRANSACTION

log = logging.getLogger(__name__)


class TransactionWatch:
    """Sets a gauge for each open transaction, and logs one line for each that stays open for long."""

    def __init__(self, stage: str, client_config: Mapping[str, Any]) -> None:
        self._stage = stage
        self._client_config = client_config
        self._open: dict[Place, OpenTransaction] = {}
        self._said: set[OpenTransaction] = set()

    async def look(self, bounds: Mapping[Place, Bounds], now: datetime) -> None:
        """Compare with the previous look. Partitions that are not in `bounds` are no longer ours."""
        before, self._open = self._open, {}
        for place, found in bounds.items():
            transaction = await self._find(place, found, before.get(place))
            if transaction is not None:
                self._open[place] = transaction
        for transaction in self._open.values():
            self._tell(transaction, now)
        for place in before.keys() - self._open.keys():
            self._gauge(place).set(0)
        self._said &= set(self._open.values())

    async def _find(self, place: Place, found: Bounds, known: OpenTransaction | None) -> OpenTransaction | None:
        if found.stable >= found.end:
            return None
        if known is not None and known.offset == found.stable:
            return known
        return await asyncio.to_thread(open_transaction, self._client_config, place, found)

    def _tell(self, transaction: OpenTransaction, now: datetime) -> None:
        place = (transaction.topic, transaction.partition)
        self._gauge(place).set((now - transaction.since).total_seconds())
        if transaction.is_long(now) and transaction not in self._said:
            self._said.add(transaction)
            log.warning("%s", transaction)

    def _gauge(self, place: Place) -> Any:
        return OPEN_TRANSACTION.labels(stage=self._stage, topic=place[0], partition=place[1])
