"""Shows whether ClickHouse has the audit that the sink wrote: every row, unchanged, and no other."""
