"""Converts fields of older record versions to today's fields, where Avro's schema resolution cannot.

`Record` uses it wherever a record is read (a topic, a dead letter's header, the JSON of a table), and `avro` keeps the
older fields readable for it. The schema is all that identifies a writer's version, so a field never changes its
meaning: a new meaning gets a new field with a default, the old field is removed, and an upcaster computes the one from
the other. See docs/decisions/0007-field-names-and-upcasters.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Upcaster:
    """Records of kind `record` once had the field `word`; `lift` returns, for its value, the fields that replace it."""

    record: str
    word: str
    lift: Callable[[Any], Mapping[str, Any]]


# Oldest first: later upcasters may convert what earlier ones return.
UPCASTERS: tuple[Upcaster, ...] = ()


def upcasters_of(record: str) -> tuple[Upcaster, ...]:
    """The upcasters of one kind of record."""
    return tuple(upcaster for upcaster in UPCASTERS if upcaster.record == record)


def lift_all(upcasters: tuple[Upcaster, ...], fields: Any) -> Any:
    """A record's fields, converted to today's fields. A value that is no mapping is returned unchanged."""
    if not isinstance(fields, Mapping):
        return fields
    lifted = dict(fields)
    for upcaster in upcasters:
        if upcaster.word in lifted:
            lifted |= upcaster.lift(lifted.pop(upcaster.word))
    return lifted
