"""How we decide: pure functions over the records. They do not await, do no I/O, read no clock and use no randomness,
and they import only `schemas`.

The stages in `streams` call them with the time and drive their generators.
"""
