"""The decision core without Kafka: the real handlers on a log in memory, with faults drawn from one seed.

    scenario.py   what a seed draws: the charter, the fault rates, the events, the orders
    world.py      applies the faults, and knows when the world is idle
    log.py        topics, changelogs and committed offsets: everything that survives a process
    agenda.py     everything that may happen next; a random choice decides
    process.py    one worker of a stage: guard, tables, handlers, in-order commit, state before output
    tables.py     tables, rebuilt from their changelog
    models.py     a model that answers, fails and gives wrong answers
    actions.py    the outside systems, with idempotency keys and without
    people.py     persons who approve, and persons who give orders
    charters.py   the charters that a world may have
    evidence.py   the result of a world
    checks.py     what must hold of the result, seen from outside
    without.py    the protections, each with the patch that removes it

`python -m tests.simulator --seed N --trace` prints the story of one seed. The runtime's own classes (`Committer`,
`FaustTable`, `PartitionReader`) are modelled here and not run: `tests/streams/fault_injection` tests them on a real
broker.
"""
