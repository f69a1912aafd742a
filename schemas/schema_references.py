"""A schema and the schemas that it refers to in the registry, as one schema.

Each type is defined where it is first used, as Avro wants it. So the check of a schema and its readers need to know
nothing of references.
"""

from collections.abc import Iterable
from typing import Any

from nightdesk.schemas.undecodable import UnsafeSchema

_NAMED = frozenset({"record", "error", "enum", "fixed"})
_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
# A type without a namespace cannot be named from within a namespace, where it may be defined now.
_WITHOUT_NAMESPACE = "unnamed"


def as_one_schema(schema: Any, referenced: Iterable[Any]) -> Any:
    """`schema` with the definitions that it needs from `referenced`, all as JSON data. Raises `UnsafeSchema` if two
    of them define one type differently, or if they nest too deep to be read.
    """
    try:
        types = _Types()
        for other in referenced:
            types.with_full_names(other, "")
        return types.defined_at_first_use(types.with_full_names(schema, ""))
    except RecursionError:
        raise UnsafeSchema("the writer's schema and those that it refers to nest too deep") from None


class _Types:
    """The named types of several schemas, by full name."""

    def __init__(self) -> None:
        self._definitions: dict[str, dict[str, Any]] = {}
        self._written: set[str] = set()

    def with_full_names(self, schema: Any, namespace: str) -> Any:
        """The schema with the full name of each type in each place; its types are remembered."""
        if isinstance(schema, str):
            return schema if _is_primitive(schema) else _full_name(schema, namespace)
        if isinstance(schema, list):
            return [self.with_full_names(branch, namespace) for branch in schema]
        if not isinstance(schema, dict):
            return schema
        if _is_named(schema):
            return self._remembered(schema, namespace)
        part = _part(schema)
        inner = self.with_full_names(schema.get(part), namespace)
        # fastavro does not read `{"type": {"type": ...}}`.
        return inner if part == "type" and not _is_primitive(inner) else schema | {part: inner}

    def _remembered(self, schema: dict[str, Any], namespace: str) -> dict[str, Any]:
        name = _full_name(str(schema.get("name", "")), str(schema.get("namespace", namespace) or ""))
        named = {key: value for key, value in schema.items() if key != "namespace"} | {"name": name}
        if isinstance(schema.get("fields"), list):
            named["fields"] = [self._field(field, name.rpartition(".")[0]) for field in schema["fields"]]
        if self._definitions.setdefault(name, named) != named:
            raise UnsafeSchema(f"the writer's schema and those that it refers to define {name[:100]} differently")
        return named

    def _field(self, field: Any, namespace: str) -> Any:
        if not isinstance(field, dict):
            return field
        return field | {"type": self.with_full_names(field.get("type"), namespace)}

    def defined_at_first_use(self, schema: Any) -> Any:
        """The schema with full names, in which a name is replaced by its definition the first time, and a definition
        by its name every other time.
        """
        if isinstance(schema, str):
            name = schema if schema in self._definitions else _full_name(schema.rpartition(".")[2], "")
            return self._defined(name) if name in self._definitions else schema
        if isinstance(schema, list):
            return [self.defined_at_first_use(branch) for branch in schema]
        if not isinstance(schema, dict):
            return schema
        if _is_named(schema):
            return self._defined(schema["name"])
        part = _part(schema)
        return schema | {part: self.defined_at_first_use(schema[part])}

    def _defined(self, name: str) -> Any:
        if name in self._written:
            return name
        self._written.add(name)
        definition = self._definitions[name]
        if not isinstance(definition.get("fields"), list):
            return definition
        fields = [
            field | {"type": self.defined_at_first_use(field["type"])} if isinstance(field, dict) else field
            for field in definition["fields"]
        ]
        return definition | {"fields": fields}


def _is_named(schema: dict[str, Any]) -> bool:
    return isinstance(schema.get("type"), str) and schema["type"] in _NAMED


def _is_primitive(schema: Any) -> bool:
    return isinstance(schema, str) and schema in _PRIMITIVES


def _part(schema: dict[str, Any]) -> str:
    """Where a schema that is no named type holds another."""
    kind = schema.get("type")
    return {"array": "items", "map": "values"}.get(kind, "type") if isinstance(kind, str) else "type"


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name else f"{namespace or _WITHOUT_NAMESPACE}.{name}"
