"""What Avro's own resolution cannot express: a word of an older version, said in today's words.

Asked by `Record` wherever one is read (a topic, a dead letter's header, the JSON of a table), and by `avro`, which
keeps the older words readable for it. Who wrote a record is known by its schema alone, so a meaning never changes under
its name: the new meaning gets a new field with a default, the old field goes, and an upcaster makes the one from the
other. docs/decisions/0007 has the reasons.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Upcaster:
    """Records called `record` once had the field `word`; `lift` gives, for its value, the fields that say it now."""

    record: str
    word: str
    lift: Callable[[Any], Mapping[str, Any]]


# Oldest first: what one lifts the next may lift further.
UPCASTERS: tuple[Upcaster, ...] = ()


def upcasters_of(record: str) -> tuple[Upcaster, ...]:
    """Those of one kind of record."""
    return tuple(upcaster for upcaster in UPCASTERS if upcaster.record == record)


def lift_all(upcasters: tuple[Upcaster, ...], fields: Any) -> Any:
    """A record's fields as they were read, in today's words. What is no mapping is not ours to judge."""
    if not isinstance(fields, Mapping):
        return fields
    lifted = dict(fields)
    for upcaster in upcasters:
        if upcaster.word in lifted:
            lifted |= upcaster.lift(lifted.pop(upcaster.word))
    return lifted
