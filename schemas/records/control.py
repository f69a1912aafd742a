"""Orders to the stages, and the reports of the processes that follow them."""

from datetime import datetime
from typing import Literal

from nightdesk.schemas.bounds import LongText, Name, Text
from nightdesk.schemas.records.base import Count, Record


class ControlCommand(Record):
    """An order to every stage; agent `*` means all agents. `key` is for compaction: `<agent>` for pause, resume and
    stop_all, `<agent>/promoted` for promote and retire, `<agent>/<version>` for a charter. A promotion that
    `applies_to` what waits restricts cases of older versions too. `before` are the versions that were in force before
    a promote or retire, the latest first. `oldest_program` is the oldest version of Nightdesk that is known to read the
    promoted charter. The kind and key `installation` says to which `installation` all topics belong. `login` is the
    login of whoever gave it in the console: issuer and subject, with a space between them.
    """

    key: Name
    kind: Literal["charter", "promote", "retire", "installation", "pause", "resume", "stop_all"]
    agent: Name
    charter_version: Name | None = None
    charter: LongText | None = None
    applies_to: Literal["new", "waiting"] = "new"
    before: tuple[Name, ...] = ()
    oldest_program: Name = ""
    installation: Name = ""
    reason: Text = ""
    issued_by: Name
    login: Text = ""
    time: datetime


class LogPlace(Record):
    """An offset of a partition; `topic` is without the prefix."""

    topic: Name
    partition: int
    offset: int


class CallFate(Record):
    """A call that was running when an order to stop was read, and its result.

    `call_id` is the step's id, or case, step and attempt of a question to a model. `cancelled`: it was not made.
    `unknown`: it may have happened. `open`: it has not finished.
    """

    call_id: Name
    agent: Name
    fate: Literal["open", "done", "failed", "unknown", "cancelled"] = "open"


class ObeyedOrder(Record):
    """An order to stop that a worker follows. `offset` is its offset on `control`, agent `*` means all.

    `positions` are the offsets from which on nothing was acted on since. `calls` are the first calls that were running
    when it was read; `calls_omitted` counts the others.
    """

    agent: Name
    kind: Literal["pause", "stop_all"]
    offset: int
    obeyed_at: datetime
    positions: tuple[LogPlace, ...] = ()
    calls: tuple[CallFate, ...] = ()
    calls_omitted: Count = 0


class UnreadableCharter(Record):
    """A charter that a worker cannot read. If it is `promoted`, the version `instead` is in force there, or none."""

    agent: Name
    version: Name
    promoted: bool
    instead: Name = ""
    reason: Text


WorkerState = Literal["not_ready", "ready", "paused", "stopped", "refused"]


class WorkerReport(Record):
    """The state of a stage process, which it reports about once a second. `key` is for compaction:
    `<stage>/<instance_id>`.

    `token` is unique to the process: another token under the same key is another process. `pid` is comparable only if
    `pid_space` is the same. `refused`: a second process with the instance id of a live one. `clock_offset_ms` is how
    far the broker's clock is ahead of its own. The orders are read up to `control_offset` and confirmed as of
    `orders_confirmed_at`. `program_version` is empty for a program that does not say what it cannot read.
    `recovery_remaining` counts the records of its tables that it has yet to read.
    """

    key: Name
    stage: Name
    instance_id: Name
    token: Name
    host: Name
    pid: int
    pid_space: Name = ""
    state: WorkerState
    started_at: datetime
    time: datetime
    clock_offset_ms: int | None = None
    orders_confirmed_within_ms: Count = 0
    orders_confirmed_at: datetime | None = None
    control_offset: int = 0
    orders: tuple[ObeyedOrder, ...] = ()
    program_version: Name = ""
    unreadable_charters: tuple[UnreadableCharter, ...] = ()
    recovery_remaining: Count = 0
