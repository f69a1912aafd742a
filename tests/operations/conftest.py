"""The installation that operations work on: topics and schemas, and the command line where a test compares with it."""

from tests.nightdesk.conftest import clickhouse, client, database, databases, nightdesk, topics

__all__ = ["clickhouse", "client", "database", "databases", "nightdesk", "topics"]
