"""Compares the pipeline's cost on this machine with a script that does the same job without durability.

`make bench` runs it; docs/performance.md explains what it measures and how.
"""
