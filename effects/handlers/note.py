"""Steps that only write to the audit, which stores the outcome's result."""

import orjson

from nightdesk.effects.handlers.answers import json_text
from nightdesk.effects.handlers.handler_spec import HandlerSpec
from nightdesk.effects.handlers.protocol import StepCall
from nightdesk.processors.playbook import StepResult


class NoteStepHandler:
    """Its result is the step's own values."""

    repeatable = True

    async def run(self, call: StepCall) -> StepResult:
        return StepResult("done", json_text(orjson.dumps(call.request), cut=False))


SPEC = HandlerSpec("note", lambda name, handler, ports: NoteStepHandler())
