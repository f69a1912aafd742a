"""How the logical types of foreign schemas are read: as their writer means them, and within a bound.

fastavro would refuse every UUID that is none, take minutes for a decimal of a megabyte, and round a decimal that has
more digits than its schema says.
"""

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from fastavro.read import LOGICAL_READERS

# More than any database's numbers have; a longer value is data in the wrong type.
DECIMAL_BYTES_AT_MOST = 64
_DECIMAL = "nightdesk-decimal"
_EXACTLY = Context(prec=200, traps=[Inexact, InvalidOperation])


def install() -> None:
    """Give fastavro the readers of what `readable` renames. May be called again."""
    for kind in ("bytes", "fixed"):
        LOGICAL_READERS[f"{kind}-{_DECIMAL}"] = _read_decimal


def readable(schema: Any) -> Any:
    """The schema without `logicalType: uuid`, which no writer has to obey, so that the text is read as it was written;
    and with decimals of our own reader.
    """
    if isinstance(schema, list):
        return [readable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: readable(part) for name, part in schema.items()}
    match plain.get("logicalType"):
        case "uuid":
            del plain["logicalType"]
        case "decimal":
            plain["logicalType"] = _DECIMAL
    return plain


def _read_decimal(data: bytes, writer_schema: Any = None, _reader_schema: Any = None) -> Decimal:
    """Raises ValueError or ArithmeticError for what is no decimal."""
    if len(data) > DECIMAL_BYTES_AT_MOST:
        raise ValueError(f"a decimal has {len(data)} bytes: at most {DECIMAL_BYTES_AT_MOST} are read")
    return Decimal(int.from_bytes(data, signed=True)).scaleb(-writer_schema.get("scale", 0), _EXACTLY)
