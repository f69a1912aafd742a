"""The safety layer between Faust and every stage. Nobody writes a stage around it.

Faust reads the topics, balances partitions and recovers tables. What it loses by itself (acknowledgements out of order,
table writes that nobody awaited, records skipped after a rebalance, failing agents that acknowledge) is done here. Each
package uses only those above it:

    process/     the life and the end of a worker process: clock, exit codes, watchdog, pause, health page
    membership/  whether this process still owns its partitions
    policy.py    the limits of one worker, given once by the bootstrap
    state/       what a record causes, and making it durable
    handling/    what becomes of one record
    consuming/   reading, and committing offsets
    departure.py how a worker that was told to stop hands its partitions over
    faust_app.py the Faust app with the settings that all this needs
    group_commit.py  the commit that a stage gets from its worker
    stage_metrics.py  the metrics of one stage, and the log lines of its audit
    ownership.py  which partitions a worker owns, and which of them are recovered
    stage_worker.py  runs one stage: a Faust app whose agent hands every record through all of the above
"""
