"""Commits offsets; only the broker's acknowledgement counts as success.

Faust's own commit leaves out partitions that it takes for unassigned, reports success when nothing was left to commit,
and waits without a limit for a coordinator that does not answer.
"""

import asyncio
import logging
from collections.abc import Mapping

import faust
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP

from nightdesk.messaging.log_identity import TopicId, is_of_another_log, stamped, unknown
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

log = logging.getLogger(__name__)


class OffsetCommits:
    """Commit requests. The caller retries failures for as long as a lease lasts; then the process exits."""

    def __init__(self, app: faust.App, lease: Lease, policy: WorkerPolicy, topic_id: TopicId = unknown) -> None:
        self._app = app
        self.topic_id = topic_id
        self._lease = lease
        self._timeout_s = policy.commit_timeout_s
        self._patience_s = policy.lease_s
        self._failing_since: float | None = None

    async def send(self, offsets: Mapping[TP, int]) -> bool:
        """Whether the broker has acknowledged all of them."""
        thread = self._app.consumer._thread  # type: ignore[attr-defined]  # Faust has no public way
        wanted = {
            TopicPartition(*tp): OffsetAndMetadata(offset, stamped("", self.topic_id(tp.topic)))
            for tp, offset in offsets.items()
        }

        async def commit() -> None:
            await asyncio.wait_for(thread._consumer.commit(wanted), self._timeout_s)

        try:
            # Twice the time, because the thread may have to finish another request first.
            await asyncio.wait_for(thread.call_thread(commit), 2 * self._timeout_s)
        except (KafkaError, TimeoutError) as error:
            self._failed(error)
            return False
        self._failing_since = None
        return True

    async def last(self, tp: TP) -> tuple[int | None, str, int]:
        """The offset that the group committed in this log, if it did, its metadata, and where the log ends."""
        thread = self._app.consumer._thread  # type: ignore[attr-defined]  # Faust has no public way
        place = TopicPartition(*tp)
        found = (await thread.call_thread(thread._consumer._coordinator.fetch_committed_offsets, [place])).get(place)
        end: int = (await thread.call_thread(thread._consumer.end_offsets, [place]))[tp]
        if found is None or found.offset < 0:
            return None, "", end
        offset, metadata = found
        if offset > end or is_of_another_log(metadata, self.topic_id(tp.topic)):
            log.error(
                "%s/%s ends at %s and %s was committed: the topic was recreated, so it is read from its beginning",
                *(tp.topic, tp.partition, end, offset),
            )
            return None, "", end
        return offset, metadata, end

    def forget(self) -> None:
        """The partitions are revoked: what could not be committed will be redelivered."""
        self._failing_since = None

    def _failed(self, error: Exception) -> None:
        now = boottime_s()
        if self._failing_since is None:
            self._failing_since = now
        log.warning("offsets were not committed: %r", error)
        self._lease.check()
        failing_s = now - self._failing_since
        if failing_s >= self._patience_s:
            fail_stop(ExitCode.CANNOT_WRITE, f"no offsets could be committed for {failing_s:.0f} s: {error!r}")
