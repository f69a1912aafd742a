"""The types of handlers, and the handlers of one charter built from them.

`nightdesk/adapters.py` calls `build` for each charter version that a worker is given. A type is added by its line in
`HANDLERS` and its keys in `processors/charter/handlers.py`.
"""

from collections.abc import Mapping

from nightdesk.effects.handlers import kafka, note, reconciling
from nightdesk.effects.handlers.handler_spec import HandlerSpec, Ports
from nightdesk.effects.handlers.protocol import Handler
from nightdesk.processors.charter.handlers import DONE_BY_THE_PLAYBOOK, CharterHandler

HANDLERS: tuple[HandlerSpec, ...] = (
    reconciling.SPEC,
    kafka.SPEC,
    note.SPEC,
)
BY_TYPE: Mapping[str, HandlerSpec] = {spec.type: spec for spec in HANDLERS}


def build(handlers: Mapping[str, CharterHandler], ports: Ports) -> dict[str, Handler]:
    """A charter's handlers by name, except `remind`, which the playbook performs itself. Raises `HandlerInvalid`."""
    return {
        name: BY_TYPE[handler.type].build(name, handler, ports)
        for name, handler in handlers.items()
        if handler.type not in DONE_BY_THE_PLAYBOOK
    }
