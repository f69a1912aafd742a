"""The schema registry: the ids of our schemas, and the schemas of other ids.

`nightdesk schemas register` writes to it; every process reads from it. It uses the Confluent API through
confluent-kafka's client.
"""

import json
from typing import Any

from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx2 import TransportError

from nightdesk.schemas import avro
from nightdesk.schemas.codec import Codec, RegistryUnavailable, UnknownSchema, UnsafeSchema
from nightdesk.schemas.records import DeadLetter, DeadLetterEnd, Record
from nightdesk.schemas.topics import TOPICS

COMPATIBILITY = "BACKWARD"
# Our schemas have 5,000. Without a bound, anyone who may register could make every record cost a megabyte of schema.
SCHEMA_CHARACTERS_AT_MOST = 200_000
# Besides the values of topics: the records in headers of dead letters and of their resolutions.
HEADERS: dict[str, type[Record]] = {"dead-letter-header": DeadLetter, "dead-letter-end-header": DeadLetterEnd}


def subjects(topic_prefix: str) -> dict[str, type[Record]]:
    """Registry subject -> its record."""
    values: dict[str, type[Record]] = {f"{topic_prefix}{topic.subject}": topic.record for topic in TOPICS}
    return values | {f"{topic_prefix}{subject}": record for subject, record in HEADERS.items()}


class Registry:
    """A schema registry at one URL."""

    def __init__(self, client: SchemaRegistryClient) -> None:
        self._client = client

    def register(self, topic_prefix: str) -> dict[str, int]:
        """Register every schema with BACKWARD compatibility. Returns subject -> id. Raises for an
        incompatible schema.
        """
        ids = {}
        for subject, record in subjects(topic_prefix).items():
            ids[subject] = self._client.register_schema(subject, _schema(record))
            self._client.set_compatibility(subject, COMPATIBILITY)
        return ids

    def codec(self, topic_prefix: str) -> Codec:
        """A codec for the registered schemas. Raises `UnknownSchema`, which names the missing subject."""
        ids: dict[type[Record], int] = {}
        for subject, record in subjects(topic_prefix).items():
            try:
                ids[record] = _id_of(self._client.lookup_schema(subject, _schema(record)))
            except SchemaRegistryError as error:
                raise UnknownSchema(
                    f"{subject} is not registered in this version's form ({error}): run `nightdesk schemas register`"
                ) from error
            except TransportError as error:
                raise RegistryUnavailable(f"schema registry does not answer: {error}") from error
        return Codec(ids, self.fetch)

    def fetch(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id. Raises `UnknownSchema` if there is none, `RegistryUnavailable` if nobody answers."""
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
    if schema.references:
        names = ", ".join(str(each.name) for each in schema.references)[:200]
        raise UnsafeSchema(f"schema id {schema_id} refers to other schemas ({names}): register it as one schema")
    if len(schema.schema_str) > SCHEMA_CHARACTERS_AT_MOST:
        raise UnsafeSchema(
            f"schema id {schema_id} has {len(schema.schema_str)} characters: {SCHEMA_CHARACTERS_AT_MOST} at most"
        )
    try:
        parsed = json.loads(schema.schema_str)
    except (ValueError, RecursionError) as error:
        raise UnknownSchema(f"schema id {schema_id} is not JSON: {error!r}") from error
    if not isinstance(parsed, dict):
        raise UnknownSchema(f"schema id {schema_id} is no record: register a schema of one record")
    return parsed


def _id_of(registered: RegisteredSchema) -> int:
    if registered.schema_id is None:
        raise UnknownSchema(f"the registry gave {registered.subject} no schema id")
    return registered.schema_id


def _schema(record: type[Record]) -> Schema:
    return Schema(avro.text(record), "AVRO")
