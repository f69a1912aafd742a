"""The registry refuses what old readers could not follow (BACKWARD), and takes what they can."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from nightdesk.schemas import avro
from nightdesk.schemas.codec import RegistryUnavailable, UnknownSchema
from nightdesk.schemas.records import Event
from nightdesk.schemas.registry import Registry, subjects
from nightdesk.settings import Settings


@pytest.fixture
def client(stack_settings: Settings) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient(stack_settings.schema_registry.client_config()) as connected:
        yield connected


@pytest.fixture
def registered(client: SchemaRegistryClient, topic_prefix: str) -> dict[str, int]:
    return Registry(client).register(topic_prefix)


def changed(change: Any) -> Schema:
    schema = copy.deepcopy(avro.load(Event))
    change(schema["fields"])
    return Schema(json.dumps(schema), "AVRO")


def test_registering_again_gives_the_same_ids(
    client: SchemaRegistryClient, topic_prefix: str, registered: dict[str, int]
) -> None:
    assert set(registered) == set(subjects(topic_prefix))
    assert Registry(client).register(topic_prefix) == registered


def test_a_field_with_a_default_may_come(
    client: SchemaRegistryClient, topic_prefix: str, registered: dict[str, int]
) -> None:
    wider = changed(lambda fields: fields.append({"name": "tenant", "type": "string", "default": ""}))
    assert client.register_schema(f"{topic_prefix}ingest-value", wider) != registered[f"{topic_prefix}ingest-value"]


@pytest.mark.parametrize(
    "breaking",
    [
        lambda fields: fields.append({"name": "tenant", "type": "string"}),
        lambda fields: fields[0].update(type="long"),
        lambda fields: fields[3].update(name="entity"),
    ],
    ids=["a field without a default", "another type", "another name"],
)
@pytest.mark.usefixtures("registered")
def test_what_old_records_cannot_be_read_with_is_refused(
    client: SchemaRegistryClient, topic_prefix: str, breaking: Any
) -> None:
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(f"{topic_prefix}ingest-value", changed(breaking))
    assert refused.value.http_status_code == 409


def test_unknown_ids_and_missing_registrations_say_so(client: SchemaRegistryClient, topic_prefix: str) -> None:
    with pytest.raises(UnknownSchema, match="999999"):
        Registry(client).fetch(999_999)
    with pytest.raises(UnknownSchema, match="schemas register"):
        Registry(client).codec(topic_prefix)


def test_a_registry_that_does_not_answer_is_not_the_records_fault() -> None:
    with (
        SchemaRegistryClient({"url": "http://127.0.0.1:9", "max.retries": 0}) as nobody,
        pytest.raises(RegistryUnavailable),
    ):
        Registry(nobody).fetch(1)
