"""Copies the audit topic into ClickHouse: every record once, none dropped."""
