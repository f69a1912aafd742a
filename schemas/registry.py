"""The schema registry: the ids of our schemas, and the schemas of other ids.

`nightdesk schemas register` writes to it; every process reads from it. It uses the Confluent API through
confluent-kafka's client.
"""

import json
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx2 import TransportError

from nightdesk.schemas import avro
from nightdesk.schemas.codec import Codec, RegistryUnavailable, UnknownSchema, UnsafeSchema
from nightdesk.schemas.records import DeadLetter, DeadLetterEnd, Record
from nightdesk.schemas.schema_references import as_one_schema
from nightdesk.schemas.topics import TOPICS

COMPATIBILITY = "BACKWARD"
# Our schemas have 5,000. Without a bound, anyone who may register could make every record cost a megabyte of schema.
SCHEMA_CHARACTERS_AT_MOST = 200_000
# Each schema that a schema refers to costs a request. Those of real producers refer to a handful, two or three deep.
REFERENCES_AT_MOST = 50
REFERENCE_DEPTH_AT_MOST = 10
NOT_FOUND = 404

A = TypeVar("A")

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

    def codec(self, topic_prefix: str, kinds: Collection[type[Record]] = ()) -> Codec:
        """A codec for the registered schemas of these kinds of records, or of all of them. Raises `UnknownSchema`,
        which names the missing subject.
        """
        ids: dict[type[Record], int] = {}
        for subject, record in subjects(topic_prefix).items():
            if kinds and record not in kinds:
                continue
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
        """The schema of an id, with the schemas that it refers to. Raises `UnknownSchema` if there is none,
        `UnsafeSchema` if there are too many, `RegistryUnavailable` if nobody answers.
        """
        name = f"schema id {schema_id}"
        schema = _answered(name, lambda: self._client.get_schema(schema_id))
        whole = _json(name, schema)
        if schema.references:
            whole = as_one_schema(whole, self._referenced(name, schema))
        if not isinstance(whole, dict):
            raise UnknownSchema(f"{name} is no record: register a schema of one record")
        return whole

    def _referenced(self, name: str, schema: Schema) -> list[Any]:
        """The schemas that a schema refers to, and those that they refer to, each once."""
        found: dict[tuple[str, int], Schema] = {}
        waiting = deque((reference, 1) for reference in schema.references or ())
        characters = len(schema.schema_str or "")
        while waiting:
            reference, depth = waiting.popleft()
            place = _place(name, reference)
            if place in found:
                continue
            if len(found) == REFERENCES_AT_MOST or depth > REFERENCE_DEPTH_AT_MOST:
                raise UnsafeSchema(
                    f"{name} refers to more than {REFERENCES_AT_MOST} schemas, or more than {REFERENCE_DEPTH_AT_MOST}"
                    " deep: register it as one schema"
                )
            found[place] = self._version(name, *place)
            characters += len(found[place].schema_str or "")
            _check_size(f"{name} with the schemas that it refers to", characters)
            waiting.extend((each, depth + 1) for each in found[place].references or ())
        return [_json(f"version {version} of {subject}", one) for (subject, version), one in found.items()]

    def _version(self, name: str, subject: str, version: int) -> Schema:
        """Also if somebody has deleted it: the records that were written with it are still there."""
        what = f"version {version} of {subject[:200]}, to which {name} refers"
        return _answered(what, lambda: self._client.get_version(subject, version, deleted=True)).schema


def _answered(what: str, ask: Callable[[], A]) -> A:
    """What the registry says. Raises `UnknownSchema` or `RegistryUnavailable`."""
    try:
        return ask()
    except SchemaRegistryError as error:
        if error.http_status_code == NOT_FOUND:
            raise UnknownSchema(f"the registry does not know {what}") from error
        raise RegistryUnavailable(f"schema registry failed on {what}: {error}") from error
    except TransportError as error:
        raise RegistryUnavailable(f"schema registry does not answer: {error}") from error


def _json(name: str, schema: Schema) -> Any:
    if schema.schema_type != "AVRO" or schema.schema_str is None:
        raise UnknownSchema(f"{name} is {schema.schema_type}, not AVRO")
    _check_size(name, len(schema.schema_str))
    try:
        return json.loads(schema.schema_str)
    except (ValueError, RecursionError) as error:
        raise UnknownSchema(f"{name} is not JSON: {error!r}") from error


def _check_size(name: str, characters: int) -> None:
    if characters > SCHEMA_CHARACTERS_AT_MOST:
        raise UnsafeSchema(f"{name} has {characters} characters: {SCHEMA_CHARACTERS_AT_MOST} at most")


def _place(name: str, reference: SchemaReference) -> tuple[str, int]:
    if reference.subject is None or reference.version is None:
        raise UnknownSchema(f"{name} refers to {str(reference.name)[:200]} without its subject or its version")
    return reference.subject, reference.version


def _id_of(registered: RegisteredSchema) -> int:
    if registered.schema_id is None:
        raise UnknownSchema(f"the registry gave {registered.subject} no schema id")
    return registered.schema_id


def _schema(record: type[Record]) -> Schema:
    return Schema(avro.text(record), "AVRO")
