"""No validation visits more parts of a schema than its cost: counted by a keyword in each part."""

from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors.charter.schema_costs import costs_of
from nightdesk.processors.sizes import size_of, sizes_by_depth
from tests.effort import examples

NAMES = st.sampled_from(["a", "b", "c"])
PLAIN: list[dict[str, Any]] = [
    {}, {"type": "object"}, {"type": "array"}, {"const": 1}, {"enum": [1, "a", {"a": 1}]}, {"required": ["a", "b"]},
    {"$ref": "#/$defs/one"}, {"$ref": "#two"}, {"uniqueItems": True}, {"pattern": "^a"},
]  # fmt: skip


def _composed(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(NAMES, inner, min_size=1, max_size=3)
    keywords = {
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), several),
        **dict.fromkeys(("not", "if", "then", "else", "items", "contains", "additionalProperties"), inner),
        **dict.fromkeys(("propertyNames", "unevaluatedProperties", "unevaluatedItems"), inner),
        **dict.fromkeys(("properties", "dependentSchemas", "patternProperties"), named),
    }
    return st.fixed_dictionaries({}, optional=keywords).map(lambda found: dict(list(found.items())[:4]))


def _schemas(references: bool) -> st.SearchStrategy[dict[str, Any]]:
    plain = [part for part in PLAIN if references or "$ref" not in part]
    return st.recursive(st.sampled_from(plain), _composed, max_leaves=12)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    definitions = {"one": draw(_schemas(False)), "two": {**draw(_schemas(False)), "$anchor": "two"}}
    return {**draw(_schemas(True)), "$defs": definitions}


DATA = st.recursive(
    st.sampled_from([1, 2, "a", "ab" * 20, None, 1.5]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=20,
)


class Counted:
    """A keyword that accepts everything and counts how often it was evaluated."""

    asked = 0

    def __init__(self, parent_schema: dict[str, Any], value: Any, schema_path: list[str | int]) -> None:
        pass

    def validate(self, instance: Any) -> None:
        Counted.asked += 1


def _with_counters(part: Any, is_schema: bool = True) -> Any:
    if isinstance(part, list):
        return [_with_counters(item) for item in part]
    if not isinstance(part, dict):
        return part
    mappings = ("properties", "dependentSchemas", "patternProperties", "$defs")
    data = ("const", "enum", "required")
    found = {
        key: item if key in data and is_schema else _with_counters(item, not (is_schema and key in mappings))
        for key, item in part.items()
    }
    return {**found, "counted": True} if is_schema else found


@given(documents(), DATA)
@settings(max_examples=examples(100))
def test_the_parts_that_are_asked_are_within_the_cost(schema: dict[str, Any], data: Any) -> None:
    costs = costs_of(schema)
    Counted.asked = 0
    jsonschema_rs.validator_for(_with_counters(schema), keywords={"counted": Counted}).is_valid(data)
    told = costs.cost(sizes_by_depth(data))
    assert Counted.asked * 5 <= told
    assert told <= costs.most_per_element * size_of(data) or costs.compares_numbers


def test_every_alternative_is_counted() -> None:
    schema: dict[str, Any] = {"items": {"anyOf": [{"const": number} for number in range(50)]}}
    Counted.asked = 0
    validator = jsonschema_rs.validator_for(_with_counters(schema), keywords={"counted": Counted})
    assert validator.is_valid([49] * 10)
    assert Counted.asked >= 10
    assert costs_of(schema).cost(sizes_by_depth([49] * 10)) >= 500 * 5


@given(DATA)
def test_the_sizes_at_all_depths_are_the_size(data: Any) -> None:
    assert sum(at.values + at.texts for at in sizes_by_depth(data)) == size_of(data)
