"""Steps that write something down and touch nothing outside: the audit keeps the outcome's result.

`registry.py` builds it for handlers of type note.
"""

import orjson

from effects.actions.answers import json_text
from effects.actions.protocol import Call, Result


class NoteAction:
    """Its result is the step's own values."""

    repeatable = True

    async def run(self, call: Call) -> Result:
        return Result("done", json_text(orjson.dumps(call.request), cut=False))
