"""Where results rest: the audit in ClickHouse (tables, writer, questions). Knows nothing of stages or settings."""
