"""The whole pipeline, two workers for each stage and two sinks, with everything that may happen to it.

Nothing is simulated: the processes are those that users run, on the local stack. A scenario breaks things, then the
checker looks from outside at what is left.

    catalog.py    the scenarios by name; add one there
    scenarios/    one module each: what is sent, what is broken, what must hold beside the checks that always must
    world.py      the pipeline under test: start, send, wait until it is calm
    fleet.py      its processes, started again when they end, as Kubernetes would
    services.py   what the pipeline stands on (Kafka, ClickHouse), taken away and given back
    sender.py     sends events as any team would
    outside.py    the model server and the action server, which count
    events.py     what is sent, and what must come of it
    poisons.py    records that can only end as dead letters
    facts.py      what is there at the end, as plain values; gather.py reads it from topics, tables and servers
    checker.py    what must hold of the facts; money.py the part about the budget
    run.py        plays scenarios and says what was found
    __main__.py   `python -m tests.chaos [SCENARIO ...] [--seed S] [--size N]`
"""
