"""Caches responses of calls that only read, for as long as the handler's `cache` says.

The same handler of the same agent with the same request gets the cached response: no call, no grant, and none of the
case's `external_calls`. A step that writes is always performed. After it, no case of its subject gets an earlier
response from the same connection.
"""

from collections import OrderedDict
from hashlib import sha256

import orjson
from pydantic import BaseModel

from nightdesk.processors.charter.handlers import CharterHandler
from nightdesk.processors.playbook import RunStep
from nightdesk.schemas.ids import composite_key
from nightdesk.streams.api import Clock, Table
from nightdesk.streams.stages.execution import ExecutionTask

# Entries for each partition, and the largest entry: memory is bounded, and a full cache only means more calls.
ANSWERS_AT_MOST = 1000
ANSWER_BYTES_AT_MOST = 16_000


class CachedResponse(BaseModel):
    """`result` is JSON text; `until` and `asked_at` are epoch seconds. An entry with an empty result stores when a
    subject wrote.
    """

    until: float
    result: str
    asked_at: float = 0.0


class ResponseCache:
    """Cached responses of all partitions of this worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.table = Table("answers", CachedResponse)
        # The last writes, including staged ones, because a later step of the same playbook must see them.
        self._written_at: OrderedDict[str, float] = OrderedDict()

    def find(self, task: ExecutionTask, step: RunStep, handler: CharterHandler) -> str | None:
        """The result of the same call, as JSON text."""
        if handler.outside not in task.execution.compiled.caches_s or handler.call_rules.cache_s is None:
            return None
        key, now, written_at = _key(task, handler, step), self._clock().timestamp(), self._last_write(task, handler)
        for partition in self.table.partitions():
            cached = self.table.get(partition, key)
            if cached is not None and cached.until > now and cached.asked_at > written_at:
                return cached.result
        return None

    def _last_write(self, task: ExecutionTask, handler: CharterHandler) -> float:
        """When the case's subject last wrote to the handler's connection (epoch seconds); 0 if that is too long ago to
        matter.
        """
        key = _write_key(task, handler)
        known = self.table.get(task.writes.partition, key)
        return max(self._written_at.get(key, 0.0), known.asked_at if known is not None else 0.0)

    def wrote(self, task: ExecutionTask, handler: CharterHandler) -> None:
        """Note a call that may have changed something, whatever its result."""
        cached_s = task.execution.compiled.caches_s.get(handler.outside)
        if handler.read_only or cached_s is None:
            return
        now = self._clock().timestamp()
        key, until = _write_key(task, handler), now + cached_s
        self.table.put(task.writes, key, CachedResponse(until=until, result="", asked_at=now), until)
        self._written_at[key] = now
        self._written_at.move_to_end(key)
        if len(self._written_at) > ANSWERS_AT_MOST:
            self._written_at.popitem(last=False)

    def keep(self, task: ExecutionTask, step: RunStep, handler: CharterHandler, result: str, asked_at: float) -> None:
        """Store the result of a call that was made at `asked_at` (epoch seconds)."""
        if handler.outside not in task.execution.compiled.caches_s:
            return
        cache_s, writes = handler.call_rules.cache_s, task.writes
        if cache_s is None or len(result) > ANSWER_BYTES_AT_MOST:
            return
        if self.table.count(writes.partition) < ANSWERS_AT_MOST:
            until = self._clock().timestamp() + cache_s
            cached = CachedResponse(until=until, result=result, asked_at=asked_at)
            self.table.put(writes, _key(task, handler, step), cached, until)


def _write_key(task: ExecutionTask, handler: CharterHandler) -> str:
    decision = task.execution.decision
    return f"wrote/{composite_key(decision.case.agent, handler.outside, decision.subject)}"


def _key(task: ExecutionTask, handler: CharterHandler, step: RunStep) -> str:
    asked = [task.execution.decision.case.agent, handler.model_dump(mode="json"), step.request]
    return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
