"""What workers of older versions left in their tables, kept for ever.

tables.py    the files, and a table recovered from one
stories/     how it came to lie there, and how a worker of today goes on
__main__.py  `python -m tests.streams.kept`: keep what today's workers leave, as the next version
"""
