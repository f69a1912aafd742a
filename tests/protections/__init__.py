"""The tests are tested: with any one protection taken away a scenario finds fault, and with it in place none.

    trial.py     one protection, one scenario, played with and without; trials.py lists them, by hand
    stages.py    the protections of the stages: what is remembered of a call to the outside, and asked before it
    __main__.py  `python -m tests.protections [PROTECTION ...]`: plays them all and prints a table

Those of the safety layer are in `tests/streams/storm/`: real processes on a real broker.
"""
