"""The safety layer between Faust and every stage. Nobody writes a stage around it.

Faust reads the topics, balances partitions and recovers tables. What it loses by itself (acknowledgements out of order,
table writes that nobody awaited, records skipped after a rebalance, failing agents that acknowledge) is done here:

    stage.py        the Faust app of one stage: agent -> dispatch -> guard -> committer -> position
    batches.py      Faust's consumer, handing on many records at a time
    dispatcher.py   records to the guard, what they cause to the committer, and whose turn it is then
    guard.py        the one guard around every record: changes, a dead letter, or the process stops
    homes.py        a record lies where its key puts it, or it is none of ours
    committer.py    state before words: table writes are durable before anything is said, then the record is done
    positions.py    in-order acknowledgement and contiguity for each partition (pure)
    tables.py       Faust tables of facts, fenced by generation, written by explicit partition
    producer.py     delivery of many messages awaited as one future
    liveness.py     freeze guard and progress watchdog: a process that cannot vouch for itself ends
    dead_letters.py the original bytes, with why
    parking.py      after a dead letter its subject's later records wait, where the charter says so
    queues.py       who waits, and whole: the facts of that
    ratio.py        too many dead letters: the stage is at fault, not the records (pure)
    holes.py        is a missing offset missing in the log, or did we skip it?
"""
