"""Stores results: the audit in ClickHouse (tables, writer, queries). It knows nothing of stages, and no settings but
its own.
"""
