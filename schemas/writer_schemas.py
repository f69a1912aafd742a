"""The schemas that records were written with: ours, and those of other producers, which the registry has.

Any client can produce with any schema id, and anyone who may register can register any schema. So this bounds how often
the registry is asked, how many foreign schemas are cached, and what a schema may look like.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from fastavro import parse_schema
from fastavro.schema import SchemaParseException, UnknownType

from nightdesk.schemas import avro, logical_types
from nightdesk.schemas.records import Record
from nightdesk.schemas.schema_safety import check_safe
from nightdesk.schemas.undecodable import Undecodable, UnknownSchema, UnsafeSchema

# An id that the registry did not know may be registered a moment later.
ASK_AGAIN_AFTER_S = 30.0
# Each unknown id costs a request; within the window no more than this many are made.
UNKNOWN_ANSWERS_AT_MOST = 20
UNKNOWN_ANSWERS_WINDOW_S = 10.0
# Registries count ids up. An id further beyond those that we know is hardly one: a producer that does not use the
# registry writes other bytes there. Such ids have a window of their own, so that a flood of them keeps no producer with
# a new schema from being asked for.
FAR_BEYOND = 100_000
FOREIGN_SCHEMAS_AT_MOST = 500

Schema = dict[str, Any]
# What fastavro raises for JSON that is no Avro schema.
_NO_SCHEMA = (SchemaParseException, UnknownType, ValueError, TypeError, LookupError, AttributeError)
# Our type -> the types of a writer that Avro reads as it.
_READ_AS = {"string": ("string", "bytes"), "long": ("long", "int")}


@dataclass(slots=True)
class Writer:
    """A writer's schema, and for foreign schemas the schemas to read each of our record kinds with."""

    schema: Schema
    readers: dict[type[Record], Schema] = field(default_factory=dict)

    def reader(self, kind: type[Record]) -> Schema:
        """The schema for reading a `kind`: the writer's own schema if it is ours."""
        if self.schema is avro.parsed(kind):
            return self.schema
        if kind not in self.readers:
            self.readers[kind] = avro.reader_for(kind, self.schema)
        return self.readers[kind]

    def difference(self, kind: type[Record]) -> str | None:
        """Why no record of the schema can be read as a `kind`, and what to do; None if nothing obvious is wrong."""
        name = str(self.schema.get("name", "")).rpartition(".")[2]
        if name != kind.__name__:
            return f"the schema's record is {name[:100]!r}: name it {kind.__name__}"
        written = {each["name"]: each["type"] for each in self.schema["fields"]}
        for mine in avro.parsed(kind)["fields"]:
            if mine["name"] not in written and "default" not in mine:
                return f"the schema has no field {mine['name']}: add it"
            theirs = written.get(mine["name"], mine["type"])
            if isinstance(theirs, list) and not isinstance(mine["type"], list):
                return f"{mine['name']} may be of several types in the schema: give it one"
            if _type_name(theirs) not in _READ_AS.get(_type_name(mine["type"]), (_type_name(theirs),)):
                return f"{mine['name']} is {_type_name(theirs)} in the schema: write it as {_type_name(mine['type'])}"
        return None


class WriterSchemas:
    """Schemas by id. `monotonic` returns seconds that never go back."""

    def __init__(
        self,
        ours: Mapping[int, Schema],
        fetch: Callable[[int], Schema],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        logical_types.install()
        self._ours = {schema_id: Writer(schema) for schema_id, schema in ours.items()}
        self._foreign: dict[int, Writer] = {}
        self._refused: dict[int, tuple[float, Undecodable]] = {}
        # By whether the id is far beyond those that we know.
        self._unknown_answers = {is_far: deque[float](maxlen=UNKNOWN_ANSWERS_AT_MOST) for is_far in (False, True)}
        self._fetch = fetch
        self._monotonic = monotonic

    def get(self, schema_id: int) -> Writer:
        """The schema of an id. Raises `UnknownSchema`, `UnsafeSchema`, or what `fetch` raises."""
        known = self._ours.get(schema_id) or self._foreign.get(schema_id)
        return known if known is not None else self._ask(schema_id)

    def is_decided(self, schema_id: int) -> bool:
        """Whether `get` returns or refuses the schema without a request."""
        if schema_id in self._ours or schema_id in self._foreign:
            return True
        try:
            self._check_may_ask(schema_id, self._monotonic())
        except Undecodable:
            return True
        return False

    def _ask(self, schema_id: int) -> Writer:
        now = self._monotonic()
        self._check_may_ask(schema_id, now)
        try:
            writer = Writer(_checked(schema_id, self._fetch(schema_id)))
        except Undecodable as error:
            self._answers_about(schema_id).append(now)
            live = {old: entry for old, entry in self._refused.items() if now - entry[0] < ASK_AGAIN_AFTER_S}
            self._refused = live | {schema_id: (now, error)}
            raise
        if len(self._foreign) >= FOREIGN_SCHEMAS_AT_MOST:
            del self._foreign[next(iter(self._foreign))]
        self._foreign[schema_id] = writer
        return writer

    def _check_may_ask(self, schema_id: int, now: float) -> None:
        asked_at, error = self._refused.get(schema_id, (None, None))
        if asked_at is not None and error is not None and now - asked_at < ASK_AGAIN_AFTER_S:
            raise type(error)(str(error))  # a new exception: the old one would collect a traceback each time
        answers = self._answers_about(schema_id)
        if len(answers) == UNKNOWN_ANSWERS_AT_MOST and now - answers[0] < UNKNOWN_ANSWERS_WINDOW_S:
            raise UnknownSchema(
                f"schema id {schema_id} is unknown, and the registry is not asked, because it did not know the last"
                f" {UNKNOWN_ANSWERS_AT_MOST} ids. If the id is registered, replay this dead letter"
            )

    def _answers_about(self, schema_id: int) -> deque[float]:
        known = max((*self._ours, *self._foreign), default=0)
        return self._unknown_answers[schema_id > known + FAR_BEYOND]


def _type_name(kind: Any) -> str:
    return _type_name(kind["type"]) if isinstance(kind, dict) else str(kind)[:100]


def _checked(schema_id: int, schema: Schema) -> Schema:
    try:
        check_safe(schema)
        return cast(Schema, parse_schema(logical_types.readable(schema)))
    except UnsafeSchema as error:
        raise UnsafeSchema(f"schema id {schema_id}: {error}") from None
    except _NO_SCHEMA as error:
        raise UnsafeSchema(f"schema id {schema_id} is no Avro schema: {repr(error)[:300]}") from error
