"""The JSON Schema of a charter, for editors: `python -m processors.charter.schema > charters/charter.schema.json`.

`nightdesk charter schema` prints it too, and a test holds that the committed file is the current one.
"""

import sys
from typing import Any

import orjson

from processors.charter.model import Charter


def charter_schema() -> dict[str, Any]:
    """What an editor checks and completes. References between sections, expressions and templates only we check."""
    schema = Charter.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Nightdesk charter"}


def charter_schema_text() -> str:
    """The schema as the committed file holds it."""
    return orjson.dumps(charter_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(charter_schema_text())
