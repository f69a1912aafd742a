"""A stage on the real safety layer, real processes and a real broker, with everything that may happen to them.

conversation.py   the stage: each event is answered at random once, remembered, acted upon and said
worker.py         `python -m tests.streams.storm.worker`: one process of it
faults.py         what a worker is made to suffer, by name
without.py        the protections of the layer, each with the patch that takes it away
keeper.py         starts workers, and starts them again when they end
broker.py         what can be seen from outside: topics, offsets, records
checker.py        the truth against what is there
__main__.py       `python -m tests.streams.storm`: the storm
"""
