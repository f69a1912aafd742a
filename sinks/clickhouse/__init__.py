"""ClickHouse's tables and views, and how they are created."""
