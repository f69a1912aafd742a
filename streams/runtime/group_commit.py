"""The `Commit` that a stage gets from its worker."""

from nightdesk.streams.api import StagedWrites
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.state.committer import Committer


class GroupCommit:
    """A `Commit` through the committer's groups that checks the lease."""

    def __init__(self, committer: Committer, lease: Lease) -> None:
        self._committer = committer
        self.alive = lease.check

    async def __call__(self, writes: StagedWrites) -> None:
        await self._committer.commit(writes)
