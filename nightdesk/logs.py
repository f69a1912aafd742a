"""The log output of a process on stderr: text for people, JSON for machines.

Modules log with `logging`; structlog formats every record here. Each long-running command calls `configure_logging`
once.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson
import structlog

from nightdesk.schemas.foreign_text import visible, visible_json
from nightdesk.settings_sections import LogSettings
from nightdesk.streams.audit_log import AUDIT_LOGGER, FIELDS

# These log every commit and heartbeat at info.
TALKATIVE = ("aiokafka", "faust", "mode", "httpx2", "asyncio")


def configure_logging(settings: LogSettings) -> None:
    """Send every logger through one handler."""
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if settings.format == "json"
        else [_make_visible, structlog.dev.ConsoleRenderer(colors=False)]
    )
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    _configure_audit(settings)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _configure_audit(settings: LogSettings) -> None:
    """Configure the lines of the audit. They look like all others, but every event causes some, and structlog's
    renderers take several times as long.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AuditFormatter(as_json=settings.format == "json"))
    audit = logging.getLogger(AUDIT_LOGGER)
    audit.handlers = [handler]
    audit.propagate = False


class AuditFormatter(logging.Formatter):
    """Formats lines like structlog formats the others."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        fields: dict[str, str | int] = getattr(record, FIELDS, {})
        level = record.levelname.lower()
        if self._as_json:
            about = {"level": level, "logger": record.name, "timestamp": time}
            return visible_json(orjson.dumps({"event": record.msg, **fields, **about}).decode())
        said = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
        return f"{time} [{level:<8}] {record.msg:<30} [{record.name}] {said}"


def _shown(value: str | int) -> str:
    """The value as it is printed. A text that could be mistaken for several is quoted, like structlog does."""
    text = str(value)
    # It is quoted first, because `repr` would escape the escapes again.
    return visible(repr(text) if " " in text or '"' in text or "=" in text else text)


def _make_visible(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Make a record one line, whatever text from outside it has; only our own traceback may have more lines."""
    for name, value in event.items():
        if isinstance(value, str):
            lines = value.split("\n") if name == "exception" else [value]
            event[name] = "\n".join(map(visible, lines))
    return event
