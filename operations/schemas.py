"""Registers the schemas of all records, once per installation and version."""

from __future__ import annotations

from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx2 import TransportError

from nightdesk.messaging.clients import new_registry_client
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import Endpoints, without_login
from nightdesk.schemas.registry import Registry


def register_schemas(endpoints: Endpoints) -> dict[str, int]:
    """Register all schemas. Returns subject -> schema id. Raises `Failure` if the registry does not answer or a schema
    is incompatible.
    """
    try:
        with new_registry_client(endpoints.schema_registry.client_config()) as client:
            return Registry(client).register(endpoints.kafka.topic_prefix)
    except TransportError as error:
        raise Failure(
            f"the schema registry at {without_login(endpoints.schema_registry.url)} does not answer: {error}",
            "Start it, or correct NIGHTDESK_SCHEMA_REGISTRY__URL",
            FailureKind.UNREACHABLE,
        ) from error
    except SchemaRegistryError as error:
        raise Failure(
            f"the schema registry refused: {error}",
            "A record changed in a way that old readers cannot follow: give the new field a default",
        ) from error
