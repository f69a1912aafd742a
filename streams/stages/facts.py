"""What stages remember, as their tables keep it. Read again by the type's `model_validate_json`."""

import orjson
from pydantic import BaseModel


def stored(fact: BaseModel) -> bytes:
    """JSON, in a third of the time that pydantic takes to write it: every event has three of them."""
    return orjson.dumps(fact.__dict__, default=_fields)


def _fields(nested: BaseModel) -> dict[str, object]:
    return nested.__dict__
