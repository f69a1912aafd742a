"""One process of the stage under test: `python -m tests.streams.fault_injection.worker ORDERS`, JSON as in `Orders`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import mode.loop
from pydantic import BaseModel

if TYPE_CHECKING:
    from tests.streams.fault_injection.conversation import Journal


class Orders(BaseModel):
    """The orders of a worker. `without` names a protection to remove, `suffers` a fault to inject; see those modules.

    `answers_at_once`: ignore the delays of events.
    """

    bootstrap_servers: str
    topic_prefix: str
    partitions: int
    instance_id: str
    journal: Path
    session_timeout_s: float = 8.0
    no_progress_s: float = 60.0
    no_recovery_s: float = 60.0
    revoke_drain_s: float = 5.0
    settle_s: float | None = None
    answers_at_once: bool = False
    suffers: str | None = None
    without: str | None = None
    state_dir: Path | None = None


def main(orders: Orders) -> None:
    """Run until the process is asked to stop, or the safety layer ends it."""
    mode.loop.use("uvloop")  # before Faust is imported, so the imports stand here
    import faust

    from nightdesk.streams.runtime import stage_worker as stage_module
    from nightdesk.streams.runtime.policy import WorkerPolicy
    from nightdesk.streams.runtime.process.liveness import Watchdog
    from nightdesk.streams.runtime.stage_worker import StageWorker
    from tests.streams.fault_injection import faults, without
    from tests.streams.fault_injection.conversation import AsyncHandler, Journal, local_codec

    journal = Journal(orders.journal)
    if orders.settle_s is not None:
        WorkerPolicy.settle_s = property(lambda _: orders.settle_s)  # type: ignore[assignment,method-assign]
    if orders.without:
        without.BY_NAME[orders.without]()
    if orders.suffers:
        faults.BY_NAME[orders.suffers](journal)
    stage_module.REVOKE_DRAIN_S = orders.revoke_drain_s
    Watchdog.INTERVAL_S = min(orders.no_progress_s, orders.no_recovery_s) / 6
    policy = WorkerPolicy(
        client_config={"bootstrap.servers": orders.bootstrap_servers},
        topic_prefix=orders.topic_prefix,
        partitions=orders.partitions,
        instance_id=orders.instance_id,
        session_timeout_s=orders.session_timeout_s,
        no_progress_s=orders.no_progress_s,
        no_recovery_s=orders.no_recovery_s,
        commit_interval_s=0.2,
        drain_s=5.0,
        state_dir=orders.state_dir,
    )
    _write_down_rounds(journal)
    stage = StageWorker(AsyncHandler(journal, at_once=orders.answers_at_once), local_codec(), policy)

    async def revoked(*_args: object, **_fields: object) -> None:
        journal.write("revoked")

    async def assigned(*_args: object, **_fields: object) -> None:
        journal.write("assigned")

    stage.app.on_partitions_revoked.connect(revoked, weak=False)
    stage.app.on_partitions_assigned.connect(assigned, weak=False)
    journal.write("started")
    faust.Worker(
        stage.app, loglevel="WARNING", override_logging=False, redirect_stdouts=False, quiet=True
    ).execute_from_commandline()


def _write_down_rounds(journal: "Journal") -> None:
    from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader

    commit = PartitionReader.commit

    async def written_down(self: PartitionReader) -> bool:
        taken = await commit(self)
        journal.write("round")
        return taken

    PartitionReader.commit = written_down  # type: ignore[method-assign]


if __name__ == "__main__":
    main(Orders.model_validate_json(sys.argv[1]))
