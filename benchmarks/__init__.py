"""What the pipeline costs on this machine, against a script that does the same job without durability.

`make bench` runs it. What is measured and how: docs/performance.md.
"""
