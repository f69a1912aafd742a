"""Evaluates all responses of the group coordinator.

aiokafka and Faust treat every refusal as a reason to join again: a process that was replaced by a second one with its
instance id takes the place back, and so on forever. Here a refusal ends the process, and an acknowledgement renews the
`Lease`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest

from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.membership.member_requests import with_instance_id
from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

# Kafka's error codes.
ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, FENCED_INSTANCE_ID = 22, 25, 27, 82
REFUSALS = {ILLEGAL_GENERATION: "IllegalGeneration", UNKNOWN_MEMBER_ID: "UnknownMemberId"}
Send = Callable[..., Awaitable[Any]]


class PartialAnswer(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """The broker's response to a commit omits partitions."""


class Membership:
    """One process's place in its group."""

    def __init__(self, lease: Lease, instance_id: str) -> None:
        self._lease = lease
        self._instance_id = instance_id
        self._consumer: AIOKafkaConsumer | None = None
        self._has_left = False

    def watch(self, consumer: AIOKafkaConsumer) -> None:
        """Receive the coordinator's responses. Call it before the consumer starts."""
        self._consumer = consumer
        send: Send = consumer._client.send

        async def watched(node_id: int, request: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT) -> Any:
            if group is not ConnectionGroup.COORDINATION:
                return await send(node_id, request, group=group)
            sent_at = boottime_s()
            answer = await send(node_id, with_instance_id(request, consumer._group_instance_id), group=group)
            self.heard(request, answer, sent_at)
            return answer

        consumer._client.send = watched

    async def leave(self) -> None:
        """Leave the group, so that the others get our partitions now and not when our session expires. The lease ends
        before the request is sent. Raises `KafkaError` if the coordinator did not acknowledge it.
        """
        assert self._consumer is not None, "whoever is in a group has a consumer"
        coordinator = self._consumer._coordinator  # aiokafka does not let a static member leave
        self._has_left = True
        self._lease.end()
        answer = await coordinator._send_req(LeaveGroupRequest(coordinator.group_id, coordinator.member_id))
        for code in (answer.error_code, *(code for _member, _instance, code in answer.members)):
            if code:
                raise for_code(code)(f"asked to leave the group as {self._instance_id}")

    def heard(self, request: Any, answer: Any, sent_at: float) -> None:
        """Evaluate the response to a request that was sent at `sent_at` (`boottime_s`). Raises `PartialAnswer`."""
        if self._has_left:
            return  # it is no refusal that the group does not know who left it
        codes = _error_codes(request, answer)
        name = type(request).__name__.removesuffix("Request")
        if FENCED_INSTANCE_ID in codes:
            self._end_as_twin(name)
        for code in codes & REFUSALS.keys():
            fail_stop(
                ExitCode.OWNERSHIP_LOST,
                f"the group no longer knows this process ({REFUSALS[code]} to {name}): another may own our"
                " partitions. Restart it; only durable work was committed",
            )
        if isinstance(request, HeartbeatRequest | SyncGroupRequest) and codes == {0}:
            self._lease.renew(sent_at)
        elif isinstance(request, HeartbeatRequest) and codes == {REBALANCE_IN_PROGRESS}:
            self._lease.renew_in_rebalance(sent_at)

    def _end_as_twin(self, name: str) -> None:
        fail_stop(
            ExitCode.TWIN,
            f"another process runs with the instance id {self._instance_id} (FencedInstanceId to {name}): this one"
            " ends. Give each process its own id (NIGHTDESK_WORKER__INSTANCE_ID), and let a supervisor start a"
            " process again only after the previous one has exited",
        )


def _error_codes(request: Any, answer: Any) -> set[int]:
    if isinstance(request, HeartbeatRequest | JoinGroupRequest | SyncGroupRequest):
        return {answer.error_code}
    if not isinstance(request, OffsetCommitRequest):
        return set()
    answered = {(topic, partition): code for topic, partitions in answer.topics for partition, code in partitions}
    asked = {(topic, entry[0]) for topic, entries in request._topics for entry in entries}
    if missing := asked - answered.keys():
        raise PartialAnswer(f"the broker's answer to a commit says nothing of {sorted(missing)}")
    return set(answered.values())
