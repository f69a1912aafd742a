"""JSON Schemas of charters, made into validators that ask nobody.

The library would fetch a `$ref` from the network or the disk by itself, in every process that reads the charter.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs


def validator_for(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """Raises what the library raises for a schema that is none, also for one that refers to something outside it."""
    return jsonschema_rs.validator_for(dict(schema), retriever=_refuse)


def _refuse(uri: str) -> None:
    raise ValueError(f"{uri} is outside the schema: put it into $defs")
