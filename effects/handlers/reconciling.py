"""Steps whose call must not be made twice, for a system that can be asked about an earlier call.

Used for http handlers with `reconcile`. If a call was started, `perform.py` asks for its result and does nothing else.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nightdesk.effects.handlers.handler_spec import HandlerInvalid, HandlerSpec, Ports
from nightdesk.effects.handlers.http import HttpStepHandler
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import Connection, ConnectionInvalid
from nightdesk.effects.handlers.protocol import Handler, StepCall
from nightdesk.effects.handlers.request import RequestRefused
from nightdesk.processors.charter.handlers import KEY_VARIABLE, CharterHandler, HttpHandler, path_variables
from nightdesk.processors.playbook import StepResult

ABSENT = StepResult("unknown", error="HTTP 404: the other side has no such call", answered=True, absent=True)


class StatusQuery(HttpStepHandler):
    """A GET that tells whether a call happened."""

    def _judge(self, status: int, body: bytes, cut: bool, headers: Mapping[str, str]) -> StepResult:
        return ABSENT if status == 404 else super()._judge(status, body, cut, headers)


class ReconcilingHttpStepHandler(HttpStepHandler):
    """An http handler that can ask for its earlier calls."""

    def __init__(self, handler: HttpHandler, connection: Connection, client: HttpClient) -> None:
        super().__init__(handler, connection, client)
        path = handler.reconcile or ""
        asking = {"type": "http", "connection": handler.connection, "method": "GET", "path": path, "read_only": True}
        question = HttpHandler.model_validate({**asking, "timeout": handler.timeout})
        self._variables = path_variables(path)
        self._question = StatusQuery(question, connection, client)

    async def reconcile(self, call: StepCall) -> StepResult:
        """The result of an earlier call. A response that proves nothing leaves it unknown."""
        values: dict[str, Any] = {**call.request, KEY_VARIABLE: call.step_id}
        given = {name: values[name] for name in self._variables if name in values}
        found = await self._question.run(replace(call, request=given))
        if found.absent or found.status == "done":
            return found
        return replace(found, status="unknown", error=f"asked for the result of the call: {found.error}")


def _build(name: str, handler: CharterHandler, ports: Ports) -> Handler:
    assert isinstance(handler, HttpHandler)
    connection = ports.connections.get(handler.connection)
    if connection is None:
        variable = f"NIGHTDESK_CONNECTIONS__{handler.connection.upper()}__BASE_URL"
        raise HandlerInvalid(f"handler {name}: there is no connection {handler.connection!r}: set {variable}")
    if connection.agents and ports.agent not in connection.agents:
        variable = f"NIGHTDESK_CONNECTIONS__{handler.connection.upper()}__AGENTS"
        raise HandlerInvalid(
            f"handler {name}: connection {handler.connection!r} is not for agent {ports.agent}: add it to {variable}"
        )
    try:
        kind = HttpStepHandler if handler.reconcile is None else ReconcilingHttpStepHandler
        return kind(handler, connection, ports.http)
    except (ConnectionInvalid, RequestRefused) as error:
        raise HandlerInvalid(f"handler {name}, connection {handler.connection}: {error}") from error


# The specification of all http handlers, with or without `reconcile`.
SPEC = HandlerSpec("http", _build)
