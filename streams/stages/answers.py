"""Answers of calls that only read, kept for as long as the handler's `cache` says.

Asked by `calls.py` before a call and told after it. The same handler of the same agent with the same request gives the
kept answer: no call, no permit, and none of the case's `external_calls`. A step that writes is always made.
"""

from hashlib import sha256

import orjson

from processors.charter.playbooks import Handler, HttpHandler
from processors.playbook import RunStep
from streams.runtime.changes import Changes
from streams.runtime.policy import Clock
from streams.runtime.tables import FactTable
from streams.stages.errands import Errand

# So many for each partition, and none that is larger: memory is bounded, and a full cache only means more calls.
ANSWERS_AT_MOST = 1000
ANSWER_BYTES_AT_MOST = 16_000


class Answers:
    """Kept answers of all partitions of this worker: who asked does not matter."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._table: FactTable

    def bind(self, table: FactTable) -> None:
        self._table = table

    def tick(self, partition: int, changes: Changes) -> None:
        """Forget what is too old."""
        for key in self._table.expired(partition, self._clock().timestamp()):
            changes.forget(self._table, key.decode())

    def find(self, errand: Errand, step: RunStep) -> str | None:
        """The result of the same call, as JSON text."""
        handler = _cached(errand, step)
        if handler is None:
            return None
        key, now = _key(errand, handler, step), self._clock().timestamp()
        for partition in self._table.partitions_held():
            value = self._table.read(partition, key)
            if value is not None and (fact := orjson.loads(value))["until"] > now:
                return str(fact["result"])
        return None

    def keep(self, errand: Errand, step: RunStep, result: str) -> None:
        """The result of a call that was just made."""
        handler = _cached(errand, step)
        changes = errand.changes
        if handler is None or handler.cache is None or len(result) > ANSWER_BYTES_AT_MOST:
            return
        if len(self._table.facts(changes.partition)) < ANSWERS_AT_MOST:
            until = self._clock().timestamp() + handler.cache
            fact = orjson.dumps({"until": until, "result": result})
            changes.put(self._table, _key(errand, handler, step), fact, until)


def _cached(errand: Errand, step: RunStep) -> HttpHandler | None:
    handler: Handler = errand.compiled.charter.handlers[step.handler]
    return handler if isinstance(handler, HttpHandler) and handler.read_only and handler.cache else None


def _key(errand: Errand, handler: HttpHandler, step: RunStep) -> str:
    asked = [errand.decision.case.agent, handler.model_dump(mode="json"), step.request]
    return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
