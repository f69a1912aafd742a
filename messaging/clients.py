"""The one configuration of every client of Kafka and of the schema registry: nothing else constructs one.

Each function takes the address and login that `KafkaSettings.client_config` gives, and the few settings in which this
client differs from the others of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient

ClientConfig = Mapping[str, Any]

# Added by a process that a person started: librdkafka then prints nothing on stderr, and the command says what failed.
QUIET: ClientConfig = {"log_level": 0}
# Room for a dead letter: the record as it came, and our headers around it.
LARGEST_MESSAGE_BYTES = 8_000_000
DELIVERY_TIMEOUT_S = 30.0


def new_producer(
    client_config: ClientConfig, delivery_timeout_s: float = DELIVERY_TIMEOUT_S, own: ClientConfig | None = None
) -> Producer:
    """An idempotent producer: it keeps the order of each partition and a retry doubles nothing.

    It chooses the same partition for a key as `partitions.partition_of`. A message that the broker has not taken after
    `delivery_timeout_s` is given up.
    """
    return Producer(
        {
            **client_config,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "message.max.bytes": LARGEST_MESSAGE_BYTES,
            "delivery.timeout.ms": int(delivery_timeout_s * 1000),
            **(own or {}),
        }
    )


def new_reader(client_config: ClientConfig, name: str, own: ClientConfig | None = None) -> Consumer:
    """A consumer that is assigned its partitions, joins no group and commits nothing.

    It reads committed records, begins where the log begins if what was asked for is gone, and reports the end of each
    partition. `name` is told to the broker as the group id, for its logs and quotas.
    """
    return Consumer(
        {
            **client_config,
            "group.id": name,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            # The end is reported when a fetch comes back empty, and somebody waits for it.
            "fetch.wait.max.ms": 100,
            **(own or {}),
        }
    )


def new_group_member(
    client_config: ClientConfig, group: str, instance_id: str, session_timeout_s: int, own: ClientConfig | None = None
) -> Consumer:
    """A static member of a consumer group that commits by itself; otherwise like `new_reader`."""
    membership = {
        "group.instance.id": instance_id,
        "session.timeout.ms": session_timeout_s * 1000,
        "enable.auto.offset.store": False,
    }
    return new_reader(client_config, group, {**membership, **(own or {})})


def new_admin(client_config: ClientConfig) -> AdminClient:
    """A client that asks about topics and groups and creates topics."""
    return AdminClient(dict(client_config))


def new_registry_client(client_config: ClientConfig) -> SchemaRegistryClient:
    """A client of the schema registry, by what `SchemaRegistrySettings.client_config` gives."""
    return SchemaRegistryClient(dict(client_config))
