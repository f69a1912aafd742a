"""Runs the whole pipeline, two workers for each stage and two sinks, and breaks it.

Nothing is simulated: the processes are those that users run, on the local stack. A scenario breaks things; then the
checker inspects the result from outside.

    catalog.py    the scenarios by name; add a new one there
    scenarios/    one module each: what is sent, what is broken, what must hold beside the checks that always must
    world.py      the pipeline under test: start it, send events, wait until it is idle
    fleet.py      its processes, restarted when they end, as Kubernetes would
    services.py   what the pipeline runs on (Kafka, ClickHouse), stopped and started again
    kafka_proxy.py  stands between one process and the broker: holds, delays or resets connections by their role
    sender.py     sends events as any team would
    outside.py    the model server and the action server, which count
    events.py     the events that are sent, and the ends that they must have
    poisons.py    records that can only end as dead letters
    facts.py      the result of a run, as plain values; gather.py reads it from topics, tables and servers
    checker.py    what must hold of the facts; money.py has the part about the budget
    quarantine.py what kills from outside may bring into quarantine, and its replay
    run.py        plays scenarios and reports violations
    __main__.py   `python -m tests.chaos [SCENARIO ...] [--seed S] [--size N]`
"""
