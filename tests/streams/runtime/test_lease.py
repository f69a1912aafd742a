"""Nobody acts without an acknowledged heartbeat that is young enough; a refusal of the coordinator ends the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import ConnectionGroup
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from nightdesk.streams.runtime.membership import coordinator as membership_module
from nightdesk.streams.runtime.membership import lease as lease_module
from nightdesk.streams.runtime.membership.coordinator import Membership, PartialAnswer
from nightdesk.streams.runtime.membership.lease import SHARE, Lease
from nightdesk.streams.runtime.membership.member_requests import with_instance_id
from nightdesk.streams.runtime.process.fail_stop import ExitCode

ROOT = Path(__file__).parents[3]
SESSION_S, REBALANCE_S = 10.0, 60.0
LASTS_S = SHARE * SESSION_S
HEARTBEAT = HeartbeatRequest("group", 3, "member")
JOIN = JoinGroupRequest("group", 1, 1, "member", "w0", "consumer", [])
SYNC = SyncGroupRequest("group", 3, "member", "w0", [])
COMMIT = OffsetCommitRequest("group", 3, "member", -1, [("topic", [(0, 7, ""), (1, 8, "")])])
OK, ILLEGAL_GENERATION, UNKNOWN_MEMBER, REBALANCE, FENCED = 0, 22, 25, 27, 82


class Ended(BaseException):
    """Raised when the process would end."""


class Time:
    """A clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ExitCode, str]]:
    """How the process ended."""
    seen: list[tuple[ExitCode, str]] = []

    def end(code: ExitCode, reason: str) -> None:
        seen.append((code, reason))
        raise Ended

    for module in (lease_module, membership_module):
        monkeypatch.setattr(module, "fail_stop", end)
    return seen


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def lease(clock: Time) -> Lease:
    return Lease(SESSION_S, REBALANCE_S, clock)


@pytest.fixture
def membership(lease: Lease) -> Membership:
    return Membership(lease, "w0")


def _answer(code: int) -> Any:
    return SimpleNamespace(error_code=code)


def _commit_answer(*codes: int) -> Any:
    return SimpleNamespace(topics=[("topic", list(enumerate(codes)))])


def test_before_the_first_acknowledgement_nobody_acts(lease: Lease, ends: list[tuple[ExitCode, str]]) -> None:
    with pytest.raises(Ended):
        lease.check()
    assert [code for code, _ in ends] == [ExitCode.OWNERSHIP_LOST]


def test_it_lasts_from_the_sending_of_the_request(lease: Lease, clock: Time, ends: list[tuple[ExitCode, str]]) -> None:
    sent_at = clock.now
    clock.now += 5.0  # so long the answer took
    lease.renew(sent_at)
    clock.now = sent_at + LASTS_S - 0.01
    lease.check()
    clock.now = sent_at + LASTS_S
    with pytest.raises(Ended):
        lease.check()
    [(code, reason)] = ends
    assert code is ExitCode.OWNERSHIP_LOST
    assert "7.5 s (session: 10 s)" in reason


def test_an_answer_that_comes_out_of_order_takes_nothing_back(lease: Lease, clock: Time) -> None:
    lease.renew(clock.now)
    lease.renew(clock.now - 5.0)
    clock.now += LASTS_S - 0.01
    assert lease.held


def test_it_ends_before_the_broker_may_give_the_partitions_away(lease: Lease, clock: Time) -> None:
    """The broker counts a session from when it received the heartbeat, which is not before the request was sent."""
    lease.renew(clock.now)
    clock.now += SESSION_S * 0.8
    assert not lease.held


def test_in_a_rebalance_heartbeats_count_until_it_may_be_over(lease: Lease, clock: Time) -> None:
    lease.renew(clock.now)
    began = clock.now
    for second in range(1, 60):
        clock.now = began + second
        lease.renew_in_rebalance(clock.now)
        assert lease.held is (second < SHARE * REBALANCE_S)


def test_a_rebalance_alone_gives_no_lease(lease: Lease, clock: Time) -> None:
    lease.renew_in_rebalance(clock.now)
    assert not lease.held


@pytest.mark.parametrize("request_", [HEARTBEAT, SYNC], ids=["heartbeat", "sync"])
def test_an_acknowledgement_renews(membership: Membership, lease: Lease, clock: Time, request_: Any) -> None:
    membership.heard(request_, _answer(OK), clock.now)
    assert lease.held


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (JOIN, _answer(OK)),
        (COMMIT, _commit_answer(OK, OK)),
        (HEARTBEAT, _answer(15)),  # coordinator not available
        (HEARTBEAT, _answer(16)),  # not coordinator
        (SYNC, _answer(REBALANCE)),
        (object(), SimpleNamespace()),
    ],
)
def test_nothing_else_does(membership: Membership, lease: Lease, clock: Time, request_: Any, answer: Any) -> None:
    membership.heard(request_, answer, clock.now)
    assert not lease.held


def test_an_ordinary_rebalance_is_no_refusal(membership: Membership, lease: Lease, clock: Time) -> None:
    membership.heard(HEARTBEAT, _answer(OK), clock.now)
    clock.now += 1.0
    membership.heard(HEARTBEAT, _answer(REBALANCE), clock.now)
    clock.now += LASTS_S - 0.5
    assert lease.held


@pytest.mark.parametrize("code", [ILLEGAL_GENERATION, UNKNOWN_MEMBER])
@pytest.mark.parametrize("request_", [HEARTBEAT, JOIN, SYNC, COMMIT], ids=["heartbeat", "join", "sync", "commit"])
def test_a_refusal_ends_the_process(
    membership: Membership, ends: list[tuple[ExitCode, str]], request_: Any, code: int
) -> None:
    with pytest.raises(Ended):
        membership.heard(request_, _commit_answer(OK, code) if request_ is COMMIT else _answer(code), 0.0)
    assert [code for code, _ in ends] == [ExitCode.OWNERSHIP_LOST]


@pytest.mark.parametrize("request_", [HEARTBEAT, JOIN, SYNC, COMMIT], ids=["heartbeat", "join", "sync", "commit"])
def test_who_was_replaced_is_told_by_whom(
    membership: Membership, ends: list[tuple[ExitCode, str]], request_: Any
) -> None:
    with pytest.raises(Ended):
        membership.heard(request_, _commit_answer(FENCED, FENCED) if request_ is COMMIT else _answer(FENCED), 0.0)
    [(code, reason)] = ends
    assert code is ExitCode.TWIN
    assert "w0" in reason
    assert "NIGHTDESK_WORKER__INSTANCE_ID" in reason


@pytest.mark.parametrize("codes", [(), (OK,)])
def test_a_commit_that_is_answered_in_part_is_none(membership: Membership, codes: tuple[int, ...]) -> None:
    with pytest.raises(PartialAnswer, match="topic"):
        membership.heard(COMMIT, _commit_answer(*codes), 0.0)


async def test_only_the_coordinator_is_listened_to_and_asked_by_name(membership: Membership, lease: Lease) -> None:
    asked: list[Any] = []

    async def send(_node: int, request: Any, *, group: Any) -> Any:
        asked.append(request)
        return _answer(OK)

    consumer: Any = SimpleNamespace(_client=SimpleNamespace(send=send), _group_instance_id="app-w0")
    membership.watch(consumer)
    await consumer._client.send(1, HEARTBEAT)
    assert asked == [HEARTBEAT]
    assert not lease.held
    await consumer._client.send(1, HEARTBEAT, group=ConnectionGroup.COORDINATION)
    assert b"app-w0" in asked[1].prepare({12: (0, 4)}).encode()


def test_requests_name_the_instance() -> None:
    heartbeat = with_instance_id(HEARTBEAT, "w0").prepare({12: (0, 4)})
    assert heartbeat.to_object() == {
        "group": "group",
        "generation_id": 3,
        "member_id": "member",
        "group_instance_id": "w0",
    }
    commit = with_instance_id(COMMIT, "w0").prepare({8: (2, 9)}).to_object()
    assert commit["group_instance_id"] == "w0"
    assert commit["topics"][0]["partitions"][1] == {"partition": 1, "offset": 8, "leader_epoch": -1, "metadata": ""}
    assert with_instance_id(JOIN, "w0") is JOIN


FROZEN = """
import sys
from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.membership.lease import Lease

lease = Lease(2.0, 60.0)
lease.renew(boottime_s())
lease.check()
print("held", flush=True)
sys.stdin.readline()
lease.check()
print("acted", flush=True)
"""


def test_a_process_that_stood_still_for_too_long_does_nothing_more() -> None:
    command = [sys.executable, "-c", FROZEN]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.0)
        process.send_signal(signal.SIGCONT)
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.wait(30) == ExitCode.OWNERSHIP_LOST
        assert process.stdout.read() == ""
