"""How a worker that was told to stop hands its partitions over."""

import asyncio
import logging

import faust
from aiokafka.errors import KafkaError

from nightdesk.streams.runtime.consuming.batches import BatchConsumer
from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.handling.dispatcher import Dispatcher
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop
from nightdesk.streams.runtime.state.committer import Committer

log = logging.getLogger(__name__)


async def depart(
    app: faust.App, reader: PartitionReader, dispatcher: Dispatcher, committer: Committer, policy: WorkerPolicy
) -> None:
    """Accept nothing new, finish records in flight, commit, and leave the group if the policy says so.

    Exits the process if the offsets cannot be committed.
    """
    reader.closed = True
    await reader.drain(policy.drain_s)
    if not await reader.commit_at_last():
        fail_stop(
            ExitCode.CANNOT_WRITE, "told to stop, and offsets could not be committed: records will be redelivered"
        )
    if not policy.leaves_group:
        return
    # What is not done is dropped first: others may own our partitions as soon as the group knows.
    committer.abandon()
    dispatcher.cancel()
    assert isinstance(app.consumer, BatchConsumer), "the app consumes in batches"
    try:
        await asyncio.wait_for(app.consumer.leave(), policy.commit_timeout_s)
    except (KafkaError, TimeoutError) as error:
        log.warning("the group was not left, so the partitions stand still until the session expires: %r", error)
