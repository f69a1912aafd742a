"""The parts of a JSON Schema: which keywords contain schemas, which values these validate, and where references lead.

`schema_costs.py` adds up what they cost, `json_schemas.py` looks for their patterns. Keywords of every draft are known.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# Validate the same value.
IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies", "extends")
# Validate each item or property, or each name of a property.
OF_EACH = (
    "additionalItems",
    "additionalProperties",
    "contains",
    "items",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
)
# One of them validates an item or a property, chosen by its position or name.
BY_PLACE = ("prefixItems", "properties")
BY_PATTERN = "patternProperties"
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DEFINITIONS = ("$defs", "definitions")
_ANCHORS = ("$anchor", "$dynamicAnchor")
_IDENTIFIERS = ("$id", "id")


def schemas_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """The schemas that a keyword's value holds: one, a list of them, or a mapping of them."""
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def named_schemas(value: Any) -> Iterator[Mapping[str, Any]]:
    """The schemas of a mapping from names, as in `properties`, or of a list, as in `prefixItems`."""
    yield from schemas_in(list(value.values()) if isinstance(value, Mapping) else value)


def in_place(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts that validate the same value, without those that are only referred to."""
    for keyword in IN_PLACE:
        parts = named_schemas if keyword in ("dependentSchemas", "dependencies") else schemas_in
        yield from parts(schema.get(keyword))


def parts_of(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every schema directly inside this one, whether it is used or only defined."""
    yield from in_place(schema)
    for keyword in OF_EACH:
        yield from schemas_in(schema.get(keyword))
    for keyword in (*BY_PLACE, BY_PATTERN, *_DEFINITIONS):
        yield from named_schemas(schema.get(keyword))


def patterns_of(schema: Mapping[str, Any]) -> Iterator[str]:
    """The patterns of this schema itself: the one of its texts and those of its properties' names."""
    if isinstance(schema.get("pattern"), str):
        yield schema["pattern"]
    if isinstance(schema.get(BY_PATTERN), Mapping):
        yield from schema[BY_PATTERN]


class Document:
    """A whole schema, in which references are looked up. Raises ValueError for a part with an identifier of its
    own, since references would mean something else within it. The schema nests at most MAX_SCHEMA_DEPTH deep.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema
        self._anchors: dict[str, Mapping[str, Any]] = {}
        self.parts: list[Mapping[str, Any]] = []
        self._read(schema)

    def _read(self, part: Mapping[str, Any]) -> None:
        self.parts.append(part)
        for keyword in _IDENTIFIERS:
            name = part.get(keyword)
            if isinstance(name, str) and name.startswith("#"):
                self._anchors[name[1:]] = part
            elif isinstance(name, str) and part is not self._root:
                raise ValueError(f"a part with an identifier of its own ({name[:80]}): use $defs without {keyword}")
        for keyword in _ANCHORS:
            if isinstance(part.get(keyword), str):
                self._anchors[part[keyword]] = part
        for inner in parts_of(part):
            self._read(inner)

    def targets(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The schemas that the references of a schema lead to. Raises ValueError for one that leads nowhere in this
        document.
        """
        for keyword in REFERENCES:
            reference = schema.get(keyword)
            if isinstance(reference, str):
                target = self._target(reference)
                if isinstance(target, Mapping):
                    yield target
                elif not isinstance(target, bool):
                    raise ValueError(f"{keyword} {reference[:200]!r} refers to nothing inside the schema")

    def reachable(self) -> tuple[Mapping[str, Any], ...]:
        """All parts, also those that only a reference makes a schema. Raises ValueError as `targets` does."""
        pending, found = list(self.parts), dict[int, Mapping[str, Any]]()
        while pending:
            part = pending.pop()
            if id(part) not in found:
                found[id(part)] = part
                pending.extend((*parts_of(part), *self.targets(part)))
        return tuple(found.values())

    def _target(self, reference: str) -> Any:
        base, _, fragment = reference.partition("#")
        own = str(self._root.get("$id", self._root.get("id", ""))).partition("#")[0]
        if base not in ("", own):
            return None
        if fragment and not fragment.startswith("/"):
            return self._anchors.get(fragment)
        target: Any = self._root
        for part in fragment.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and key.isascii() and key.isdigit() and len(key) < 10:
                target = dict(enumerate(target)).get(int(key))
            else:
                target = target.get(key) if isinstance(target, Mapping) else None
        return target
