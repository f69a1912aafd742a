"""ClickHouse's tables and views, and how they come to be."""
