"""Compiles the JSON Schemas of charters to validators that fetch nothing and match patterns in linear time.

The library would fetch a `$ref` from the network or the disk by itself, in every process that reads the charter, and
would match some patterns with an engine that tries again from every character of the text.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from nightdesk.processors.charter.schema_costs import costs_of
from nightdesk.processors.charter.schema_parts import Document, patterns_of
from nightdesk.processors.regex_costs import MAX_PATTERN_COST, pattern_cost
from nightdesk.processors.sizes import sizes_by_depth

# The library ends the process at a schema that nests too deeply.
MAX_SCHEMA_DEPTH = 100
# The library would fetch any other draft from the network.
_DRAFTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-04/schema",
    }
)
# The `regex` engine of Rust only: it has no backtracking, so it refuses the syntax that would need it.
_LINEAR = jsonschema_rs.RegexOptions()
_NOT_LINEAR = (
    "is not a pattern that is matched in linear time: look-around, back-references, atomic groups, conditionals and \\K"
    " are not available, as in https://docs.rs/regex"
)


class SchemaInvalid(ValueError):
    """The value is no JSON Schema, or validating with it could take unbounded time or fetch something."""


def validator_for(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """Raises SchemaInvalid with a reason in one line."""
    try:
        return _validator(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise SchemaInvalid(f"not a JSON Schema: {str(error).splitlines()[0]}") from None


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    if len(sizes_by_depth(schema)) > MAX_SCHEMA_DEPTH:
        raise ValueError(f"nested deeper than {MAX_SCHEMA_DEPTH} levels")
    draft = schema.get("$schema")
    if draft is not None and str(draft).removesuffix("#") not in _DRAFTS:
        raise ValueError(f"{str(draft)[:200]!r} is no draft of JSON Schema: take {max(_DRAFTS)}")
    jsonschema_rs.meta.validate(dict(schema))
    costs_of(schema)
    for part in Document(schema).reachable():
        for pattern in patterns_of(part):
            _check_pattern(pattern)
    return jsonschema_rs.validator_for(dict(schema), retriever=_refuse, pattern_options=_LINEAR)


def _check_pattern(pattern: str) -> None:
    """Raises ValueError for a pattern that takes long to compile, or that the linear engine does not have."""
    if pattern_cost(pattern).compile > MAX_PATTERN_COST:
        raise ValueError(f"the pattern {pattern[:200]!r} is too large: repeat smaller classes less often")
    try:
        jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=_LINEAR)
    except jsonschema_rs.ValidationError:
        raise ValueError(f"{pattern[:200]!r} {_NOT_LINEAR}") from None


def _refuse(uri: str) -> None:
    raise ValueError(f"{uri} is outside the schema: put it into $defs")
