"""JSON Schemas of charters: validation never takes long, whatever the schema and the data."""

from typing import Any

import pytest

from nightdesk.processors.charter.compiled_schema import CompiledSchema, compile_schema
from nightdesk.processors.charter.json_schemas import validator_for
from nightdesk.processors.charter.schema_costs import costs_of
from nightdesk.processors.charter.warnings import LARGEST_EVENT

TREE = {"$defs": {"n": {"allOf": [{"properties": {"a": {"$ref": "#/$defs/n"}}}] * 2}}, "$ref": "#/$defs/n"}
LEAF = {"$defs": {"n": {"type": "string"}}, "items": {"$ref": "#/$defs/n"}}


def compiled(schema: dict[str, Any]) -> CompiledSchema:
    return compile_schema(schema)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("schema", "recursive"),
    [
        (TREE, True),
        ({"items": {"$ref": "#"}}, True),
        ({"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}}, True),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, True),
        (LEAF, False),
        ({"$defs": {"n": {}}, "properties": {"x": {"$ref": "#/$defs/n"}, "y": {"$ref": "#/$defs/n"}}}, False),
    ],
)
def test_whether_a_schema_refers_to_itself(schema: dict[str, Any], recursive: bool) -> None:
    assert costs_of(schema).is_recursive is recursive


def test_a_recursive_schema_does_not_look_for_reasons_that_double_with_each_level() -> None:
    schema = {**TREE, "$defs": {"n": {"type": "object", **TREE["$defs"]["n"]}}}  # type: ignore[index]
    assert compiled(schema).problems(_nested(60), "event.data") == ("event.data: does not match its schema",)


@pytest.mark.parametrize(
    "schema",
    [
        {"items": {"type": "string"}},
        {"items": {"enum": [str(number) for number in range(1000)]}},
        {"anyOf": [{"items": {"type": "string"}}, {"items": {"type": "object"}}]},
    ],
)
def test_of_many_mistakes_none_is_named(schema: dict[str, Any]) -> None:
    """The library collects all of them before it reports the first, which takes 6 to 14 seconds for these."""
    assert compiled(schema).problems([1] * 400_000, "event.data") == ("event.data: does not match its schema",)


def test_another_says_where_and_why() -> None:
    assert compiled(LEAF).problems(["a", 1], "event.data") == ('event.data[1]: 1 is not of type "string"',)


def test_a_dear_pattern_is_not_held_against_large_data() -> None:
    schema = compiled({"items": {"pattern": r"[ab]*a[ab]{90}c"}})
    [problem] = schema.problems(["ab" * 400_000], "event.data")
    assert problem.startswith("event.data: is too large for its schema")
    assert schema.problems(["xyz"], "event.data")[0].startswith("event.data[0]:")


@pytest.mark.parametrize("pattern", [r"[A-Z]++-\d++$", "a*+b", "a?+b", "a{1,5}+b", "(?:a+)+$"])
def test_a_pattern_is_matched_without_backtracking(pattern: str) -> None:
    """A backtracking engine takes thousands of steps from each character, or gives up with a wrong answer."""
    schema = compiled({"pattern": pattern})
    [problem] = schema.problems("A" * 400_000 + "!", "event.data")
    assert problem.startswith('event.data: "AAAA')


BACKTRACKING = [
    "(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(a)\1", r"(?<n>a)\k<n>", "(?>a+)b", r"a\Kb", r"\Ga", "(a)?(?(1)b|c)",
    "(?~ab)", r"(?<r>a|b\g<r>c)",
]  # fmt: skip


@pytest.mark.parametrize("pattern", BACKTRACKING)
@pytest.mark.parametrize("place", ["pattern", "patternProperties"])
def test_a_pattern_that_would_need_backtracking_is_refused(pattern: str, place: str) -> None:
    with pytest.raises(ValueError, match="linear time"):
        validator_for({"items": {place: pattern if place == "pattern" else {pattern: {}}}})


def test_what_is_data_in_a_schema_is_no_pattern() -> None:
    validator_for({"const": {"pattern": "("}, "enum": [{"pattern": "("}], "properties": {"pattern": {"const": "("}}})


OBJECTS = [{"a": number} for number in range(500)]
UNEVALUATED: dict[str, Any] = {"properties": {f"k{number}": {} for number in range(300)}}
for _ in range(12):
    UNEVALUATED = {"unevaluatedProperties": False, "allOf": [UNEVALUATED]}


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"items": {"enum": OBJECTS}}, [{"a": 499}] * 60_000),
        ({"items": {"enum": [[one] for one in OBJECTS]}}, [[{"a": 499}]] * 60_000),
        ({"items": {"anyOf": [{"const": one} for one in OBJECTS]}}, [{"a": 499}] * 60_000),
        ({"items": {"oneOf": [{"const": one} for one in OBJECTS]}}, [{"a": 499}] * 60_000),
        ({"items": {"oneOf": [{"required": [f"k{number}"]} for number in range(500)]}}, [{"k499": 1}] * 60_000),
        ({"contains": {"enum": OBJECTS}}, [{"a": 500}] * 60_000),
        ({"additionalProperties": {"enum": OBJECTS}}, {str(key): {"a": 499} for key in range(60_000)}),
        ({"propertyNames": {"enum": [*OBJECTS, "x" * 9]}}, {str(key): 1 for key in range(60_000)}),
        ({"$defs": {"n": {"enum": OBJECTS}}, "items": {"$ref": "#/$defs/n"}}, [{"a": 499}] * 60_000),
        ({"$defs": {"n": {"$anchor": "n", "enum": OBJECTS}}, "items": {"$ref": "#n"}}, [{"a": 499}] * 60_000),
        ({"anyOf": [{"enum": OBJECTS}, {"items": {"$ref": "#"}}]}, [{"a": 499}] * 60_000),
        ({"items": {"multipleOf": 0.01}}, [1e300] * 20_000),
        ({"uniqueItems": True}, [[number] for number in range(60_000)]),
        (UNEVALUATED, {f"k{number}": 1 for number in range(300)}),
        ({"anyOf": [{"pattern": f"a{number}$"} for number in range(200)]}, "x" * 800_000),
        ({"items": {"anyOf": [{"const": number} for number in range(500)]}}, ["x"] * 60_000),
    ],
)
def test_data_that_would_take_long_are_not_validated(schema: dict[str, Any], data: Any) -> None:
    [problem] = compiled(schema).problems(data, "event.data")
    assert problem.startswith("event.data: is too large for its schema")


LINE = {
    "type": "object",
    "properties": {f"k{number}": {"type": "string", "maxLength": 99} for number in range(40)},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"items": {"type": "number"}}, [1] * 400_000),
        ({"items": {"enum": [str(number) for number in range(1000)]}}, ["999"] * 60_000),
        ({"properties": {"a": {"enum": OBJECTS}}}, {"a": {"a": 499}, "b": [1] * 60_000}),
        ({"type": "array", "items": LINE}, [{f"k{number}": "text" for number in range(40)}] * 1000),
        ({"items": {"multipleOf": 0.01}}, [3.25] * 5000),
        ({"items": {"uniqueItems": True}}, [[1, 2]] * 2000),
        (
            {"properties": {"a": {"anyOf": [{"const": one} for one in OBJECTS]}}},
            {"a": {"a": 499}, "b": ["x" * 800_000]},
        ),
    ],
)
def test_what_people_write_is_validated(schema: dict[str, Any], data: Any) -> None:
    assert compiled(schema).problems(data, "event.data") == ()


def _fan_out(levels: int) -> dict[str, Any]:
    """Each definition is one of two different ones of the next level."""
    definitions: dict[str, Any] = {f"{levels}{side}": {"const": side} for side in "ab"}
    for level in range(levels):
        following = [{"$ref": f"#/$defs/{level + 1}{side}"} for side in "ab"]
        definitions.update({f"{level}{side}": {"anyOf": following} for side in "ab"})
    return {"$defs": definitions, "$ref": "#/$defs/0a"}


@pytest.mark.parametrize("levels", [14, 18, 40, 150])
def test_references_that_double_at_each_level_are_refused(levels: int) -> None:
    with pytest.raises(ValueError, match=r"references written out|more than 200 times"):
        validator_for(_fan_out(levels))


def test_references_that_do_not_double_for_long_are_not() -> None:
    assert len(compiled(_fan_out(5)).problems({"a": 2}, "event.data")) == 1


@pytest.mark.parametrize("reference", ["#/$defs/none", "#none", "#/$defs/n/7", "other#/a"])
def test_a_reference_to_nothing_is_refused(reference: str) -> None:
    with pytest.raises(ValueError, match=r"nothing inside|outside"):
        validator_for({"$defs": {"n": {}}, "items": {"$ref": reference}})


@pytest.mark.parametrize(
    "draft", ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"]
)
def test_a_known_draft_is_taken(draft: str) -> None:
    assert compiled({"$schema": draft, "type": "string"}).problems("a", "event.data") == ()


@pytest.mark.parametrize("draft", ["http://127.0.0.1:9/schema", "http://json-schema.org/other", "draft-07"])
def test_another_is_refused_and_nobody_is_asked_what_it_is(draft: str) -> None:
    with pytest.raises(ValueError, match="no draft of JSON Schema"):
        validator_for({"$schema": draft})


@pytest.mark.parametrize("key", ["items", "allOf"])
def test_a_schema_that_nests_without_end_is_refused(key: str) -> None:
    """The library ends the whole process at such a schema."""
    schema: Any = {}
    for _ in range(100_000):
        schema = {key: schema if key == "items" else [schema]}
    with pytest.raises(ValueError, match="nested deeper"):
        validator_for(schema)


def test_a_large_text_is_not_copied_into_every_mistake() -> None:
    schema = compiled({"allOf": [{"const": number} for number in range(500)]})
    assert schema.problems("x" * 400_000, "event.data") == ("event.data: does not match its schema",)


@pytest.mark.parametrize("schema", [{}, {"pattern": "^[a-z]+$"}, {"pattern": "^[A-Za-z0-9_-]{1,9}$"}])
def test_what_is_cheap_takes_any_event(schema: dict[str, Any]) -> None:
    assert costs_of(schema).safe_size > LARGEST_EVENT


def test_a_name_of_a_megabyte_is_not_copied_into_every_mistake() -> None:
    schema = compiled({"additionalProperties": {"additionalProperties": {"type": "number"}}})
    data = {"x" * 900_000: dict.fromkeys("abcdefg", "no number")}
    problems = schema.problems(data, "event.data")
    assert len(problems) == 5
    assert all(len(problem) < 500 for problem in problems)


def test_a_cheap_pattern_is() -> None:
    assert compiled({"items": {"pattern": "^[a-z]+$"}}).problems(["ab" * 400_000], "event.data") == ()


@pytest.mark.parametrize("schema", [{"pattern": r"\w{800}"}, {"patternProperties": {r"(\d{30}){30}": {}}}])
def test_a_pattern_that_takes_long_to_compile_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="too large"):
        validator_for(schema)
