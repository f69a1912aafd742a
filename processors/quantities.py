"""Durations and rates as authors write them (`24h`, `5/1h`), parsed to types, and probabilities.

`gate.py` reads the duration that a model asks to wait with the same parser.
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

DURATION_PATTERN = r"^[1-9][0-9]{0,6}(s|m|h|d)$"
RATE_PATTERN = r"^[1-9][0-9]{0,8}/[1-9][0-9]{0,6}(s|m|h|d)$"
LONGEST_S = 3650 * 86_400  # dates end beyond it
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> int:
    """Seconds of `30s`, `10m`, `24h` or `7d`. Raises ValueError for anything else, and for more than ten years."""
    if not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration: write a number and s, m, h or d, as in 24h")
    seconds = int(text[:-1]) * _SECONDS[text[-1]]
    if seconds > LONGEST_S:
        raise ValueError(f"{text!r} is longer than {LONGEST_S // 86_400}d")
    return seconds


def _to_seconds(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
DurationSeconds = Annotated[
    int,
    BeforeValidator(_to_seconds),
    Field(gt=0, strict=True),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "24h"]}),
]


class Rate(BaseModel):
    """A count per period of at most ten years: `5/1h` is 5 in 3,600 seconds. Both numbers are at least 1."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra=lambda schema: schema.update({"type": "string", "pattern": RATE_PATTERN}),
    )

    count: int = Field(ge=1)
    per_seconds: int = Field(ge=1, le=LONGEST_S)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if not re.fullmatch(RATE_PATTERN, value):
            raise ValueError(f"{value!r} is not a rate: write a count and a duration, as in 5/1h")
        count, _, duration = value.partition("/")
        return {"count": int(count), "per_seconds": parse_duration(duration)}
