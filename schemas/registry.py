"""The schema registry: what our schemas' ids are, and what another's id means.

Called by `nightdesk schemas register` (which writes) and by the bootstrap of every process (which only asks). Speaks
the Confluent API through confluent-kafka's client.
"""

import json
from typing import Any

from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx2 import TransportError

from schemas import avro
from schemas.codec import Codec, RegistryUnavailable, UnknownSchema
from schemas.records import DeadLetter, DeadLetterEnd, Record
from schemas.topics import TOPICS

COMPATIBILITY = "BACKWARD"
# Besides the topics' values: what travels in the headers of dead letters and of their ends.
HEADERS: dict[str, type[Record]] = {"dead-letter-header": DeadLetter, "dead-letter-end-header": DeadLetterEnd}


def subjects(topic_prefix: str) -> dict[str, type[Record]]:
    """Registry subject -> the record that lies under it."""
    values: dict[str, type[Record]] = {f"{topic_prefix}{topic.subject}": topic.record for topic in TOPICS}
    return values | {f"{topic_prefix}{subject}": record for subject, record in HEADERS.items()}


class Registry:
    """A schema registry at one URL."""

    def __init__(self, client: SchemaRegistryClient) -> None:
        self._client = client

    def register(self, topic_prefix: str) -> dict[str, int]:
        """Register every schema under BACKWARD compatibility; gives subject -> id. A breaking schema raises."""
        ids = {}
        for subject, record in subjects(topic_prefix).items():
            ids[subject] = self._client.register_schema(subject, _schema(record))
            self._client.set_compatibility(subject, COMPATIBILITY)
        return ids

    def codec(self, topic_prefix: str) -> Codec:
        """A codec for the registered schemas. `UnknownSchema` says which subject is missing."""
        ids: dict[type[Record], int] = {}
        for subject, record in subjects(topic_prefix).items():
            try:
                ids[record] = _id_of(self._client.lookup_schema(subject, _schema(record)))
            except SchemaRegistryError as error:
                raise UnknownSchema(
                    f"{subject} is not registered as this version writes it ({error}): run `nightdesk schemas register`"
                ) from error
            except TransportError as error:
                raise RegistryUnavailable(f"schema registry does not answer: {error}") from error
        return Codec(ids, self.fetch)

    def fetch(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id. `UnknownSchema` when there is none, `RegistryUnavailable` when nobody answers."""
        try:
            schema = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                raise UnknownSchema(f"the registry does not know schema id {schema_id}") from error
            raise RegistryUnavailable(f"schema registry failed on id {schema_id}: {error}") from error
        except TransportError as error:
            raise RegistryUnavailable(f"schema registry does not answer: {error}") from error
        return _json_schema(schema, schema_id)


def _json_schema(schema: Schema, schema_id: int) -> dict[str, Any]:
    if schema.schema_type != "AVRO" or schema.schema_str is None:
        raise UnknownSchema(f"schema id {schema_id} is {schema.schema_type}, not AVRO")
    parsed = json.loads(schema.schema_str)
    if not isinstance(parsed, dict):
        raise UnknownSchema(f"schema id {schema_id} is not a record schema")
    return parsed


def _id_of(registered: RegisteredSchema) -> int:
    if registered.schema_id is None:
        raise UnknownSchema(f"the registry gave {registered.subject} no schema id")
    return registered.schema_id


def _schema(record: type[Record]) -> Schema:
    return Schema(avro.text(record), "AVRO")
