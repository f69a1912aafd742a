"""Runs a small stage on the real safety layer, with real processes and a real broker, and injects faults.

conversation.py the stage: answers each event once at random, stores the answer, acts on it and emits it worker.py
`python -m tests.streams.fault_injection.worker`: one process of the stage faults.py the faults that a worker can inject
into itself, by name without.py the protections of the layer, each with the patch that removes it keeper.py starts
workers, and restarts them when they end broker.py what can be seen from outside: topics, offsets, records checker.py
compares the input with the result __main__.py `python -m tests.streams.fault_injection`: the storm
"""
