"""An event whose schema refers to other schemas of the registry is read, and no chain of references costs without
a bound.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference
from confluent_kafka.schema_registry._sync.mock_schema_registry_client import MockSchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from fastavro import parse_schema, schemaless_writer

from nightdesk.schemas import avro
from nightdesk.schemas.codec import HEADER, Codec, RegistryUnavailable, UnknownSchema, UnsafeSchema
from nightdesk.schemas.records import Event
from nightdesk.schemas.registry import (
    REFERENCE_DEPTH_AT_MOST,
    REFERENCES_AT_MOST,
    SCHEMA_CHARACTERS_AT_MOST,
    Registry,
)
from nightdesk.schemas.schema_references import as_one_schema

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COUNTRY = {"type": "enum", "name": "Country", "namespace": "com.acme", "symbols": ["DE", "FR"]}
ADDRESS = {
    "type": "record",
    "name": "Address",
    "namespace": "com.acme",
    "fields": [{"name": "city", "type": "string"}, {"name": "country", "type": "Country"}],
}
VALUE = {"city": "Köln", "country": "DE"}


class Counted(MockSchemaRegistryClient):
    """Confluent's own registry for tests, which counts what it is asked."""

    def __init__(self) -> None:
        super().__init__({"url": "mock://"})
        self.asked = 0

    def get_version(self, *arguments: Any, **options: Any) -> Any:
        self.asked += 1
        return super().get_version(*arguments, **options)

    def put(self, subject: str, schema: Any, *subjects: str) -> int:
        """Register a schema that refers to the first version of other subjects."""
        references = [SchemaReference(name=each, subject=each, version=1) for each in subjects]
        return self.register_schema(subject, Schema(json.dumps(schema), "AVRO", references))


@pytest.fixture
def client() -> Iterator[Counted]:
    with Counted() as client:
        yield client


def event_with(field: str, kind: Any, **more: Any) -> dict[str, Any]:
    own = avro.load(Event)
    return {**own, "fields": [*own["fields"], {"name": field, "type": kind}], **more}


def decoded(client: Counted, schema_id: int, schema: Any, **fields: Any) -> Event:
    """The event that a producer wrote, as our codec reads it."""
    buffer = BytesIO()
    event = {"id": "1", "source": "s", "type": "t", "subject": "x", "time": WHEN, **fields}
    schemaless_writer(buffer, parse_schema(schema), event)
    return Codec({}, Registry(client).fetch).decode(Event, HEADER.pack(0, schema_id) + buffer.getvalue())


@pytest.mark.parametrize("kind", ["com.acme.Address", ["null", "com.acme.Address"], {"type": "com.acme.Address"}])
def test_an_event_is_read_whose_schema_refers_to_others(client: Counted, kind: Any) -> None:
    client.put("country", COUNTRY)
    client.put("address", ADDRESS, "country")
    schema_id = client.put("event", event_with("address", kind), "address", "country")
    whole = event_with("address", ADDRESS | {"fields": [ADDRESS["fields"][0], {"name": "country", "type": COUNTRY}]})
    if isinstance(kind, list):
        whole = event_with("address", ["null", whole["fields"][-1]["type"]])
    event = decoded(client, schema_id, whole, address=VALUE)
    assert (event.id, event.time) == ("1", WHEN)
    assert client.asked == 2, "each is asked for once"


def test_the_whole_event_may_be_a_reference(client: Counted) -> None:
    client.put("the-event", avro.load(Event))
    assert decoded(client, client.put("topic", "nightdesk.v1.Event", "the-event"), avro.load(Event)).id == "1"


def test_types_without_a_namespace_are_found(client: Counted) -> None:
    """Java's Avro finds them from within a namespace too."""
    plain = {"type": "record", "name": "Plain", "fields": [{"name": "text", "type": "string"}]}
    client.put("plain", plain)
    event = event_with("first", "Plain", name="Event")
    event["fields"].append({"name": "second", "type": {"type": "array", "items": "Plain"}})
    whole = json.loads(json.dumps(event).replace('"Plain"', json.dumps(plain), 1))
    value = {"text": "a"}
    assert decoded(client, client.put("event", event, "plain"), whole, first=value, second=[value]).id == "1"
    inside = event_with("first", "Plain")
    whole = event_with("first", plain)
    assert decoded(client, client.put("other", inside, "plain"), whole, first=value).id == "1"


def test_a_type_is_defined_once_and_then_named() -> None:
    main = {"type": "record", "name": "a.E", "fields": [{"name": name, "type": "com.acme.Address"} for name in "xy"]}
    first, second = (field["type"] for field in as_one_schema(main, [ADDRESS, COUNTRY])["fields"])
    assert first["fields"][1]["type"]["name"] == "com.acme.Country"
    assert second == "com.acme.Address"


def test_two_definitions_of_one_name_are_refused() -> None:
    """Read by the wrong one, every value after it would be another."""
    with pytest.raises(UnsafeSchema, match=r"define com\.acme\.Country differently"):
        as_one_schema(COUNTRY, [COUNTRY | {"symbols": ["FR", "DE"]}])


def test_a_schema_that_nests_without_end_is_refused(client: Counted) -> None:
    deep: Any = "com.acme.Country"
    for _ in range(3000):
        deep = {"type": "array", "items": deep}
    with pytest.raises(UnsafeSchema, match="nest too deep"):
        as_one_schema(deep, [COUNTRY] * 2)
    itself = event_with("address", "com.acme.Address")
    loop = ADDRESS | {"fields": [{"name": "again", "type": "com.acme.Address"}]}
    client.put("address", loop)
    schema_id = client.put("event", itself, "address")
    with pytest.raises(UnsafeSchema, match="recursive"):
        Codec({}, Registry(client).fetch).decode(Event, HEADER.pack(0, schema_id) + b"1")


def chain(client: Counted, length: int) -> int:
    previous: tuple[str, ...] = ()
    for number in range(length):
        client.put(f"s{number}", COUNTRY | {"name": f"C{number}"}, *previous)
        previous = (f"s{number}",)
    return client.put("event", event_with("c", f"com.acme.C{length - 1}"), *previous)


def test_references_are_followed_to_a_depth_and_no_further(client: Counted) -> None:
    assert Registry(client).fetch(chain(client, REFERENCE_DEPTH_AT_MOST))["name"] == "nightdesk.v1.Event"


def test_a_longer_chain_is_refused_before_it_is_followed(client: Counted) -> None:
    schema_id = chain(client, REFERENCE_DEPTH_AT_MOST + 1)
    with pytest.raises(UnsafeSchema, match="register it as one schema"):
        Registry(client).fetch(schema_id)
    assert client.asked == REFERENCE_DEPTH_AT_MOST


@pytest.mark.parametrize("more", [0, 1])
def test_no_more_are_asked_for_than_the_bound(client: Counted, more: int) -> None:
    names = [f"s{number}" for number in range(REFERENCES_AT_MOST + more)]
    for name in names:
        client.put(name, COUNTRY | {"name": name})
    schema_id = client.put("event", event_with("c", "com.acme.s0"), *names)
    if more:
        with pytest.raises(UnsafeSchema, match=f"more than {REFERENCES_AT_MOST} schemas"):
            Registry(client).fetch(schema_id)
    else:
        Registry(client).fetch(schema_id)
    assert client.asked == REFERENCES_AT_MOST


def test_many_references_are_no_way_around_the_bound_on_size(client: Counted) -> None:
    names = [f"s{number}" for number in range(3)]
    for name in names:
        client.put(name, COUNTRY | {"name": name, "doc": "x" * (SCHEMA_CHARACTERS_AT_MOST // 2)})
    schema_id = client.put("event", event_with("c", "com.acme.s0"), *names)
    with pytest.raises(UnsafeSchema, match=f"{SCHEMA_CHARACTERS_AT_MOST} at most"):
        Registry(client).fetch(schema_id)
    assert client.asked == 2, "the third is not asked for"


def test_a_reference_that_the_registry_does_not_know_is_the_records_fault_and_an_absent_registry_is_not(
    client: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema_id = client.put("event", event_with("c", "com.acme.Country"), "country")
    with pytest.raises(UnknownSchema, match="does not know version 1 of country, to which schema id 1 refers"):
        Registry(client).fetch(schema_id)

    def away(*_: Any, **__: Any) -> None:
        raise SchemaRegistryError(503, 50300, "away")

    monkeypatch.setattr(client, "get_version", away)
    with pytest.raises(RegistryUnavailable):
        Registry(client).fetch(schema_id)
