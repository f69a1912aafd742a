"""The decision core without Kafka: the real handlers on a log in memory, under faults drawn from one seed.

    scenario.py   what a seed draws: the charter, the weather, the events, the orders
    world.py      what goes wrong, and when it is over
    log.py        topics, changelogs and committed offsets: all that outlives a process
    agenda.py     everything that may happen next; chance picks
    process.py    one worker of a stage: guard, tables, conversations, in-order commit, state before words
    tables.py     facts, rebuilt from their changelog
    models.py     a model that answers, fails and lies
    actions.py    systems that are acted upon, with keys and without
    people.py     those who approve, and those who give orders
    charters.py   the charters that a world may have
    evidence.py   what is left of it all
    checks.py     what must hold of that, seen from outside
    without.py    the protections, each with the patch that takes it away

`python -m tests.simulator --seed N --trace` tells the story of one seed. What is modelled here and not run is the
layer's own machinery (`Committer`, `FactTable`, `Intake`): `tests/streams/storm` breaks that one on a real broker.
"""
