"""Names and texts in ClickHouse's SQL."""


def literal(text: str) -> str:
    """`text` as a string literal in ClickHouse's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """`name` as an identifier in SQL."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
