"""The JSON Schema of a charter, for editors.

`python -m nightdesk.processors.charter.schema > charters/charter.schema.json` writes it.

`nightdesk charter schema` prints it too, and a test holds that the committed file is the current one.
"""

import sys
from typing import Any

import orjson

from nightdesk.processors.charter.model import Charter


def charter_schema() -> dict[str, Any]:
    """The JSON Schema that editors use to check and complete. Only `nightdesk charter check` checks references between
    sections, expressions and templates.
    """
    schema = Charter.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Nightdesk charter"}


def charter_schema_text() -> str:
    """The schema as in the committed file."""
    return orjson.dumps(charter_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(charter_schema_text())
