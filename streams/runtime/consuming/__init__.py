"""Reads records in batches, in order, skipping none, and commits offsets once their records are done."""
