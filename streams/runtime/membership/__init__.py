"""Proves that this process still owns its partitions: its lease, the coordinator's responses, its topics."""
