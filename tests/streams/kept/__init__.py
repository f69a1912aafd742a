"""The tables that workers of older versions left, stored forever.

tables.py     the files, and a table recovered from one
stories/      how an older worker wrote the tables, and how a worker of today continues
__main__.py   `python -m tests.streams.kept` stores the tables of today's workers as the next version
parked-*.json queues behind a dead letter, which `tests/streams/test_kept_queues.py` reads
"""
