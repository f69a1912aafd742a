"""How we decide: pure functions over the records. No await, no I/O, no clock, no randomness; imports only `schemas`.

The stages in `streams` call it with the time and drive its generators.
"""
