"""A real Kafka, schema registry and ClickHouse on this machine, with nothing installed but pip packages.

For `nightdesk up`, the tests and the benchmarks. Needs the extra `local`. Never used in production.
"""
