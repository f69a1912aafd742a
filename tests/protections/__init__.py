"""Tests the tests: without any one protection a scenario finds a violation, and with all of them it finds none.

    trial.py     one protection and one scenario, played with and without it; trials.py lists them, by hand
    stages.py    the protections of the stages: what is recorded of a call to the outside, and checked before it
    identity.py  the protections of partitions, queues and approvals: what a record claims is checked
    clocks.py    the protections of a process whose clock is set back, or wrong when it starts
    stops.py     the protections of `nightdesk stop verify`
    __main__.py  `python -m tests.protections [PROTECTION ...]`: plays them all and prints a table

Those of the safety layer are in `tests/streams/fault_injection/`: real processes on a real broker.
"""
