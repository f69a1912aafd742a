"""The registry refuses what old readers could not follow (BACKWARD), and takes what they can."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
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


def test_a_schema_is_fetched_with_those_that_it_refers_to(
    client: SchemaRegistryClient, stack_settings: Settings, topic_prefix: str
) -> None:
    country = {"type": "enum", "name": "com.acme.Country", "symbols": ["DE"]}
    client.register_schema(f"{topic_prefix}country", Schema(json.dumps(country), "AVRO"))
    refers = changed(lambda fields: fields.append({"name": "country", "type": "com.acme.Country"}))
    references = [SchemaReference("com.acme.Country", f"{topic_prefix}country", 1)]
    schema_id = client.register_schema(f"{topic_prefix}event", Schema(refers.schema_str, "AVRO", references))
    with SchemaRegistryClient(stack_settings.schema_registry.client_config()) as other:  # without what `client` cached
        fetched = Registry(other).fetch(schema_id)
    assert fetched["fields"][-1] == {"name": "country", "type": country}


def test_a_registry_that_does_not_answer_is_not_the_records_fault() -> None:
    with (
        SchemaRegistryClient({"url": "http://127.0.0.1:9", "max.retries": 0}) as nobody,
        pytest.raises(RegistryUnavailable),
    ):
        Registry(nobody).fetch(1)
