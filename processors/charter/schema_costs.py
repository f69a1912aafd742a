"""Computes an upper bound of the cost of validating data against a JSON Schema, from the schema and the size of the
data.

A value is tried against all alternatives of its schema, an `enum` of objects compares it with each of them, and a
reference represents everything that it leads to. So the cost of one element is computed for each depth of the data.
`compiled_schema.py` multiplies it by how many elements the data has at that depth, before it validates.

The numbers were measured with the library (`jsonschema-rs` 0.60) and rounded up. `cost_levels.py` adds them up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from nightdesk.processors.charter.cost_levels import SchemaCosts, largest, shifted, together
from nightdesk.processors.charter.schema_parts import (
    BY_PATTERN,
    BY_PLACE,
    OF_EACH,
    Document,
    in_place,
    named_schemas,
    schemas_in,
)
from nightdesk.processors.regex_costs import match_cost
from nightdesk.processors.sizes import size_of

# The number of schemas with every reference written out: the library collects the mistakes of each.
MAX_EXPANDED = 10_000
# The longest chain of schemas by references and parts, because the walk through them is recursive.
MAX_REFERENCES = 200
_PER_SCHEMA = 5
_PER_KEYWORD = 3
_PER_CONSTANT = 2
_PER_COMPARED_ELEMENT = 40
_ALIKE_CONSTANTS = 10  # texts alone, or whole numbers alone, are looked up
_PER_FORMAT = 80
_PER_MULTIPLE = 800
_PER_SMALL_MULTIPLE = 8_000  # for a number with many digits after the point
_SMALL_MULTIPLE = 1e-9
_PER_HASHED_ELEMENT = 200
_PER_MATCH = 10  # converts the tenths of a microsecond of regex_costs.py
# To find the remaining properties, the library evaluates the sibling keywords again, and their parts each time.
_AGAIN_FOR_UNEVALUATED = 3
# A mistake names the expected constants; this many of their elements take as long as one more mistake.
_ELEMENTS_PER_MISTAKE = 50
# These formats read the whole text.
_READING = frozenset({"format", "maxLength", "minLength", "pattern"})
_UNASKED = frozenset(
    {"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples"}
)


class _Recursion(Exception):
    """A schema refers to itself."""


def costs_of(schema: Mapping[str, Any]) -> SchemaCosts:
    """The costs of a schema. Raises ValueError if a reference leads nowhere, or if the references expand to more than
    MAX_EXPANDED schemas.
    """
    document = Document(schema)
    try:
        return _Costs(document).of(schema)
    except _Recursion:
        return _of_recursive(document)


class _Costs:
    """One calculation. It remembers the costs of each part, because many references may lead to the same part."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._known: dict[int, SchemaCosts] = {}
        self._within: set[int] = set()

    def of(self, schema: Mapping[str, Any]) -> SchemaCosts:
        known = self._known.get(id(schema))
        if known is not None:
            return known
        if id(schema) in self._within:
            raise _Recursion
        if len(self._within) > MAX_REFERENCES:
            raise ValueError(f"references lead on to references more than {MAX_REFERENCES} times")
        self._within.add(id(schema))
        costs = self._work_out(schema)
        self._within.remove(id(schema))
        if costs.expanded > MAX_EXPANDED:
            raise ValueError(
                f"comes to more than {MAX_EXPANDED:,} schemas with its references written out:"
                " fewer alternatives that lead to alternatives"
            )
        self._known[id(schema)] = costs
        return costs

    def _work_out(self, schema: Mapping[str, Any]) -> SchemaCosts:
        here = [self.of(part) for part in (*in_place(schema), *self._document.targets(schema))]
        below = [shifted(self.of(part)) for keyword in OF_EACH for part in schemas_in(schema.get(keyword))]
        below += [shifted(self.of(part)) for part in named_schemas(schema.get(BY_PATTERN))]
        below += [shifted(largest(map(self.of, named_schemas(schema.get(keyword))))) for keyword in BY_PLACE]
        return _unevaluated(schema, reduce(together, [*here, *below], _own(schema)))


def _own(schema: Mapping[str, Any]) -> SchemaCosts:
    """The cost of the schema's own keywords, without those that contain schemas."""
    asked = [keyword for keyword in schema if keyword not in _UNASKED]
    constants = schema["enum"] if isinstance(schema.get("enum"), list) else []
    constants = [*constants, schema["const"]] if "const" in schema else constants
    cost = _PER_SCHEMA + _PER_KEYWORD * (len(asked) + _required_names(schema)) + _cost_of_constants(constants)
    text = _PER_KEYWORD * len(_READING & schema.keys())
    if isinstance(schema.get("pattern"), str):
        text += _PER_MATCH * match_cost(schema["pattern"])
    if schema.keys() & {"format", "contentMediaType", "contentEncoding"}:
        text += _PER_FORMAT
    multiple = schema.get("multipleOf")
    if isinstance(multiple, int | float):
        cost += _PER_SMALL_MULTIPLE if multiple < _SMALL_MULTIPLE else _PER_MULTIPLE
    names = schema.get(BY_PATTERN)
    per_name = sum(_PER_SCHEMA + _PER_MATCH * match_cost(pattern) for pattern in names or ())
    return SchemaCosts(
        levels=(cost + text, per_name),
        texts=(text, per_name),
        mistakes=(len(asked) + sum(map(size_of, constants)) // _ELEMENTS_PER_MISTAKE,),
        everywhere=_PER_HASHED_ELEMENT if schema.get("uniqueItems") is True else 0,
        compares_numbers=multiple is not None,
    )


def _required_names(schema: Mapping[str, Any]) -> int:
    names = schema.get("required")
    dependent = [schema.get("dependentRequired"), schema.get("dependencies")]
    lists = [names, *(item for part in dependent if isinstance(part, Mapping) for item in part.values())]
    return sum(len(item) for item in lists if isinstance(item, list))


def _cost_of_constants(constants: Sequence[Any]) -> int:
    for kind in (str, int):
        if all(type(constant) is kind for constant in constants):
            return min(_ALIKE_CONSTANTS, _PER_CONSTANT * len(constants))
    return sum(
        _PER_COMPARED_ELEMENT * size_of(constant) if isinstance(constant, Mapping | list) else _PER_CONSTANT
        for constant in constants
    )


def _has_unevaluated(schema: Mapping[str, Any]) -> bool:
    return not schema.keys().isdisjoint(("unevaluatedItems", "unevaluatedProperties"))


def _unevaluated(schema: Mapping[str, Any], costs: SchemaCosts) -> SchemaCosts:
    """Each item or property may be validated again by every sibling keyword."""
    if not _has_unevaluated(schema):
        return costs
    levels = tuple(level * _AGAIN_FOR_UNEVALUATED for level in costs.levels)
    texts = tuple(text * _AGAIN_FOR_UNEVALUATED for text in costs.texts)
    of_each = SchemaCosts(levels=(0, levels[0]), expanded=0)
    return together(replace(costs, levels=levels, texts=texts), of_each)


def _of_recursive(document: Document) -> SchemaCosts:
    """The costs of a recursive schema: every part may validate any element, once, because the library remembers its
    result for a reference.
    """
    parts = document.reachable()
    own = reduce(together, map(_own, parts))
    again = _AGAIN_FOR_UNEVALUATED ** sum(map(_has_unevaluated, parts))
    return replace(own, levels=(sum(own.levels) * again,), texts=(sum(own.texts) * again,), is_recursive=True)
