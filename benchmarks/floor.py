"""The floor: the same job in one asyncio script, with its counters in dictionaries and without any durable state.

The measurements start it as a process of its own. It is written to be fast and does the whole job; the only thing
that it gives up is durability.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
import orjson
import uvloop
from confluent_kafka import Consumer, Message, TopicPartition
from fastavro import schemaless_reader

from nightdesk.schemas.avro import parsed
from nightdesk.schemas.records import Event

WIRE_HEADER_BYTES = 5
IN_FLIGHT_AT_MOST = 1000
EVENTS_PER_SUBJECT_AND_HOUR = 1_000_000
BUDGET_MICROUSD = 1_000_000_000
SILENT_AT_MOST_S = 20.0


@dataclass(slots=True)
class Guard:
    """A rate counter and a budget, in memory."""

    events: dict[str, int] = field(default_factory=dict)
    spent_microusd: dict[str, int] = field(default_factory=dict)

    def admits(self, subject: str, agent: str) -> bool:
        self.events[subject] = self.events.get(subject, 0) + 1
        self.spent_microusd[agent] = self.spent_microusd.get(agent, 0) + 1
        return self.events[subject] <= EVENTS_PER_SUBJECT_AND_HOUR and self.spent_microusd[agent] <= BUDGET_MICROUSD


class Floor:
    """Reads, guards, decides, acts."""

    def __init__(self, source: str, url: str) -> None:
        self._source = source
        self._url = url
        self._guard = Guard()
        self._schema = parsed(Event)
        self._slots = asyncio.Semaphore(IN_FLIGHT_AT_MOST)
        self._calls: set[asyncio.Task[None]] = set()
        self.taken = 0

    async def run(self, consumer: Consumer, events: int) -> None:
        """Run until so many events of the source are acted on. Raises `TimeoutError` if Kafka has no more of them."""
        heard = time.monotonic()
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT_AT_MOST)
        async with aiohttp.ClientSession(connector=connector) as session:
            while self.taken < events:
                messages = await asyncio.to_thread(consumer.consume, 500, 0.1)
                if messages:
                    heard = time.monotonic()
                elif time.monotonic() - heard > SILENT_AT_MOST_S:
                    raise TimeoutError(f"{self.taken} of {events} events of {self._source}, and no more come")
                for message in messages:
                    await self._take(message, session)
            await asyncio.gather(*self._calls)

    async def _take(self, message: Message, session: aiohttp.ClientSession) -> None:
        event: Any = schemaless_reader(BytesIO((message.value() or b"")[WIRE_HEADER_BYTES:]), self._schema, None)
        if event["source"] != self._source or not self._guard.admits(event["subject"], "keyword"):
            return
        self.taken += 1
        queue = "refunds" if "refund" in orjson.loads(event["data"])["text"] else "general"
        await self._slots.acquire()
        call = asyncio.create_task(self._act(session, event, queue))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _act(self, session: aiohttp.ClientSession, event: dict[str, Any], queue: str) -> None:
        body = orjson.dumps({"subject": event["subject"], "queue": queue})
        headers = {"Idempotency-Key": f"{event['source']}/{event['id']}", "Content-Type": "application/json"}
        try:
            async with session.post(self._url, data=body, headers=headers) as response:
                response.raise_for_status()
                await response.read()
        finally:
            self._slots.release()


def _consumer(bootstrap_servers: str, topic: str) -> Consumer:
    config = {"group.id": "floor", "enable.auto.commit": False, "fetch.wait.max.ms": 10}
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, **config})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    return consumer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--source", required=True, help="only events of this source are taken")
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--url", required=True, help="where each action is posted")
    arguments = parser.parse_args()

    consumer = _consumer(arguments.bootstrap_servers, arguments.topic)

    async def run() -> None:
        await Floor(arguments.source, arguments.url).run(consumer, arguments.events)

    start, cpu_start = time.perf_counter(), time.process_time()
    uvloop.run(run())
    elapsed = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}
    print(json.dumps(elapsed))


if __name__ == "__main__":
    main()
