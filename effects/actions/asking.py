"""Steps that must not be made twice, of a system that can be asked what became of them.

`registry.py` builds it for http handlers with `reconcile`. After a crash `perform.py` asks before anything else.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from effects.actions.http import HttpAction, HttpClient
from effects.actions.outbound import Connection
from effects.actions.protocol import Call, Result
from processors.charter.playbooks import KEY_VARIABLE, HttpHandler, path_variables

ABSENT = Result("failed", error="HTTP 404: the other side never saw the call", answered=True)


class Question(HttpAction):
    """A GET that says whether something is there."""

    def _judge(self, status: int, body: bytes, cut: bool, headers: Mapping[str, str]) -> Result:
        return ABSENT if status == 404 else super()._judge(status, body, cut, headers)


class AskedHttpAction(HttpAction):
    """An http handler that says how to ask."""

    def __init__(self, handler: HttpHandler, connection: Connection, client: HttpClient) -> None:
        super().__init__(handler, connection, client)
        path = handler.reconcile or ""
        asking = {"type": "http", "connection": handler.connection, "method": "GET", "path": path, "read_only": True}
        question = HttpHandler.model_validate({**asking, "timeout": handler.timeout})
        self._variables = path_variables(path)
        self._question = Question(question, connection, client)

    async def reconcile(self, call: Call) -> Result | None:
        """What became of an earlier call; None when it never arrived. An answer that says nothing leaves it unknown."""
        values: dict[str, Any] = {**call.request, KEY_VARIABLE: call.idempotency_key}
        given = {name: values[name] for name in self._variables if name in values}
        found = await self._question.run(replace(call, request=given))
        if found is ABSENT:
            return None
        if found.status == "done":
            return found
        return replace(found, status="unknown", error=f"asked what became of the call: {found.error}")
