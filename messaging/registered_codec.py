"""The codec of the schemas that are registered, for whoever reads or writes records."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from confluent_kafka.schema_registry import SchemaRegistryClient

from nightdesk.messaging.clients import new_registry_client
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import Endpoints
from nightdesk.schemas.codec import Codec, RegistryUnavailable, UnknownSchema
from nightdesk.schemas.records import Record
from nightdesk.schemas.registry import Registry


@contextmanager
def registered_codec(settings: Endpoints, *kinds: type[Record]) -> Iterator[Codec]:
    """A codec for the block, which can encode these kinds of records; without any, every kind. Raises `Failure`.

    Each kind costs a request to the registry, and so does each other schema in which a record that is decoded was
    written. Workers take every kind, so that what is not registered ends them at their start.
    """
    with new_registry_client(settings.schema_registry.client_config()) as client:
        try:
            yield _codec(client, settings.kafka.topic_prefix, kinds)
        except RegistryUnavailable as error:
            raise Failure(
                str(error), "Start it, or correct NIGHTDESK_SCHEMA_REGISTRY__URL", FailureKind.UNREACHABLE
            ) from error


def _codec(client: SchemaRegistryClient, topic_prefix: str, kinds: Collection[type[Record]]) -> Codec:
    try:
        return Registry(client).codec(topic_prefix, kinds)
    except UnknownSchema as error:
        raise Failure(str(error), kind=FailureKind.NOT_READY) from error
