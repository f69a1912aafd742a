"""Requests with the instance id of a static member, in versions that aiokafka does not have.

Only such heartbeats and offset commits let the broker distinguish a process that was replaced (FencedInstanceId) from
one whose session expired (UnknownMemberId), and only such a request to leave removes a static member. Brokers support
these versions since Kafka 2.3 and 2.4. Source: Kafka's HeartbeatRequest.json, OffsetCommitRequest.json and
LeaveGroupRequest.json.
"""

from typing import Any, ClassVar

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetCommitResponse_v3
from aiokafka.protocol.group import HeartbeatRequest, HeartbeatResponse_v1, LeaveGroupRequest
from aiokafka.protocol.types import Array, Int16, Int32, Int64, Schema, String

NO_LEADER_EPOCH = -1


class _HeartbeatResponse(HeartbeatResponse_v1):  # type: ignore[misc]  # aiokafka has no types
    API_VERSION = 3


class _Heartbeat(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = _HeartbeatResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class _OffsetCommitResponse(OffsetCommitResponse_v3):  # type: ignore[misc]  # aiokafka has no types
    API_VERSION = 7


_PARTITION = (("partition", Int32), ("offset", Int64), ("leader_epoch", Int32), ("metadata", String("utf-8")))


class _OffsetCommit(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 8
    API_VERSION = 7
    RESPONSE_TYPE = _OffsetCommitResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(*_PARTITION)))),
    )


_MEMBER = (("member_id", String("utf-8")), ("group_instance_id", String("utf-8")))


class _LeaveGroupResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("error_code", Int16), ("members", Array(*_MEMBER, ("error_code", Int16)))
    )


class _LeaveGroup(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = _LeaveGroupResponse
    SCHEMA = Schema(("group", String("utf-8")), ("members", Array(*_MEMBER)))


class _NamedHeartbeat(Request[_Heartbeat]):  # type: ignore[misc]  # aiokafka has no types
    """A heartbeat of a static member."""

    API_KEY: ClassVar[int] = _Heartbeat.API_KEY

    def __init__(self, request: HeartbeatRequest, instance_id: str | None) -> None:
        self._fields = (request._group, request._generation_id, request._member_id, instance_id)

    def build(self, request_struct_class: type[_Heartbeat]) -> _Heartbeat:
        return request_struct_class(*self._fields)


class _NamedOffsetCommit(Request[_OffsetCommit]):  # type: ignore[misc]  # aiokafka has no types
    """A commit of a static member."""

    API_KEY: ClassVar[int] = _OffsetCommit.API_KEY

    def __init__(self, request: OffsetCommitRequest, instance_id: str | None) -> None:
        topics = [
            (topic, [(partition, offset, NO_LEADER_EPOCH, metadata) for partition, offset, metadata in entries])
            for topic, entries in request._topics
        ]
        member = (request._consumer_group, request._consumer_group_generation_id, request._consumer_id)
        self._fields = (*member, instance_id, topics)

    def build(self, request_struct_class: type[_OffsetCommit]) -> _OffsetCommit:
        return request_struct_class(*self._fields)


class _NamedLeaveGroup(Request[_LeaveGroup]):  # type: ignore[misc]  # aiokafka has no types
    """A static member leaves."""

    API_KEY: ClassVar[int] = _LeaveGroup.API_KEY

    def __init__(self, request: LeaveGroupRequest, instance_id: str | None) -> None:
        self._fields = (request._group, [(request._member_id, instance_id)])

    def build(self, request_struct_class: type[_LeaveGroup]) -> _LeaveGroup:
        return request_struct_class(*self._fields)


def with_instance_id(request: Any, instance_id: str | None) -> Any:
    """The request in the version with the instance id; other requests unchanged."""
    if isinstance(request, HeartbeatRequest):
        return _NamedHeartbeat(request, instance_id)
    if isinstance(request, OffsetCommitRequest):
        return _NamedOffsetCommit(request, instance_id)
    if isinstance(request, LeaveGroupRequest):
        return _NamedLeaveGroup(request, instance_id)
    return request
