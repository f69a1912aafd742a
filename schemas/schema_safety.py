"""Whether records can be read with a writer's schema: in bounded time, whatever their bytes are.

fastavro reads a record by following its schema in C, without looking at a clock or at the depth. So each step has to be
paid for by a byte of the record, and the depth is bounded. A value of no bytes (null, an empty record) is a step
without a byte: an array of them, or records that each contain two of the next, make a few bytes take hours.
"""

from typing import NamedTuple

from nightdesk.schemas.undecodable import UnsafeSchema

# A recursive or deeply nested schema ends the process with a segmentation fault.
NESTING_AT_MOST = 32
PARTS_AT_MOST = 5000
# Of values that take no bytes, in one value of any part of the schema.
WITHOUT_BYTES_AT_MOST = 20
_PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})


class _Value(NamedTuple):
    """One value of a schema: whether it takes a byte at least, how many values in it (itself included) take none, and
    how deeply it nests.
    """

    takes_bytes: bool
    without_bytes: int
    height: int


_ONE_WITH_BYTES = _Value(takes_bytes=True, without_bytes=0, height=1)
_ONE_WITHOUT = _Value(takes_bytes=False, without_bytes=1, height=1)


def check_safe(schema: object) -> None:
    """Raise `UnsafeSchema` for a schema that is recursive, too large, or gives values that take no bytes without
    a bound.
    """
    _Check().value(schema, 0, frozenset())


class _Check:
    """One walk over a schema as the registry returned it: JSON, not yet parsed."""

    def __init__(self) -> None:
        self._parts = 0
        # By the name without its namespace. Of two types with one name the worse counts for both.
        self._named: dict[str, _Value] = {}

    def value(self, schema: object, depth: int, open_names: frozenset[str]) -> _Value:
        """What one value of `schema` is. `open_names` are the enclosing records."""
        self._parts += 1
        if self._parts > PARTS_AT_MOST:
            raise UnsafeSchema(f"the writer's schema has more than {PARTS_AT_MOST} parts")
        _check_depth(depth)
        found = self._value(schema, depth, open_names)
        _check_depth(depth + found.height - 1)
        if found.without_bytes > WITHOUT_BYTES_AT_MOST:
            raise UnsafeSchema(
                f"a value of the writer's schema has more than {WITHOUT_BYTES_AT_MOST} parts that take no bytes"
            )
        return found

    def _value(self, schema: object, depth: int, open_names: frozenset[str]) -> _Value:
        if isinstance(schema, str):
            return self._by_name(schema, open_names)
        if isinstance(schema, list):
            return self._union(schema, depth, open_names)
        if not isinstance(schema, dict):
            raise UnsafeSchema(f"the writer's schema has {type(schema).__name__} instead of a type")
        match schema.get("type"):
            case "record" | "error":
                return self._record(schema, depth, open_names)
            case "array":
                return self._items("array", schema.get("items"), depth, open_names)
            case "map":
                return self._items("map", schema.get("values"), depth, open_names)
            case "enum":
                return self._remember(schema, _ONE_WITH_BYTES)
            case "fixed":
                size = schema.get("size")
                return self._remember(schema, _ONE_WITH_BYTES if isinstance(size, int) and size > 0 else _ONE_WITHOUT)
            case other:
                return self.value(other, depth + 1, open_names)

    def _by_name(self, name: str, open_names: frozenset[str]) -> _Value:
        if name == "null":
            return _ONE_WITHOUT
        short = name.rpartition(".")[2]
        if short in open_names:
            raise UnsafeSchema(f"the writer's schema is recursive: {name[:100]} contains itself")
        return _ONE_WITH_BYTES if name in _PRIMITIVES else self._named.get(short, _ONE_WITH_BYTES)

    def _union(self, branches: list[object], depth: int, open_names: frozenset[str]) -> _Value:
        """A union begins with the number of its branch, which is a byte for a branch that has none."""
        found = [self.value(branch, depth + 1, open_names) for branch in branches]
        without = max((one.without_bytes - (not one.takes_bytes) for one in found), default=0)
        return _Value(takes_bytes=True, without_bytes=without, height=1 + _highest(found))

    def _items(self, kind: str, items: object, depth: int, open_names: frozenset[str]) -> _Value:
        """Each item is paid for by its own bytes."""
        item = self.value(items, depth + 1, open_names)
        if not item.takes_bytes:
            raise UnsafeSchema(f"the writer's schema has an {kind} of items that take no bytes")
        return _Value(takes_bytes=True, without_bytes=0, height=1 + item.height)

    def _record(self, schema: dict[str, object], depth: int, open_names: frozenset[str]) -> _Value:
        name, fields = _short(schema), schema.get("fields")
        if not isinstance(fields, list) or not all(isinstance(each, dict) for each in fields):
            raise UnsafeSchema(f"record {name[:100]} of the writer's schema has no list of fields")
        inside = open_names | {name}
        found = [self.value(each.get("type"), depth + 1, inside) for each in fields]
        takes_bytes = any(one.takes_bytes for one in found)
        without = sum(one.without_bytes for one in found) + (not takes_bytes)
        return self._remember(schema, _Value(takes_bytes, without, 1 + _highest(found)))

    def _remember(self, schema: dict[str, object], value: _Value) -> _Value:
        name = _short(schema)
        known = self._named.get(name, value)
        self._named[name] = _Value(
            takes_bytes=value.takes_bytes and known.takes_bytes,
            without_bytes=max(value.without_bytes, known.without_bytes),
            height=max(value.height, known.height),
        )
        return value


def _check_depth(depth: int) -> None:
    if depth > NESTING_AT_MOST:
        raise UnsafeSchema(f"the writer's schema is nested more than {NESTING_AT_MOST} deep")


def _highest(values: list[_Value]) -> int:
    return max((value.height for value in values), default=0)


def _short(schema: dict[str, object]) -> str:
    return str(schema.get("name", "")).rpartition(".")[2]
