"""The codec of the schemas that are registered, for whoever reads or writes records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka.schema_registry import SchemaRegistryClient

from nightdesk.messaging.clients import new_registry_client
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import Endpoints
from nightdesk.schemas.codec import Codec, RegistryUnavailable, UnknownSchema
from nightdesk.schemas.registry import Registry


@contextmanager
def registered_codec(settings: Endpoints) -> Iterator[Codec]:
    """A codec for the block; it asks the registry for schemas that it meets. Raises `Failure`."""
    with new_registry_client(settings.schema_registry.client_config()) as client:
        try:
            yield _codec(client, settings.kafka.topic_prefix)
        except RegistryUnavailable as error:
            raise Failure(
                str(error), "Start it, or correct NIGHTDESK_SCHEMA_REGISTRY__URL", FailureKind.UNREACHABLE
            ) from error


def _codec(client: SchemaRegistryClient, topic_prefix: str) -> Codec:
    try:
        return Registry(client).codec(topic_prefix)
    except UnknownSchema as error:
        raise Failure(str(error), kind=FailureKind.NOT_READY) from error
