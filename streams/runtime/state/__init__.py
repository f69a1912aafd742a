"""Commits what a record causes: tables first, then output, then the consumer offset."""
