"""Runs `nightdesk` in this process as its script does: arguments and stdin in; exit code, stdout and stderr out."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from nightdesk.cli import main
from nightdesk.messaging.settings import plain
from nightdesk.settings import Settings


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)


class CommandLine:
    """`nightdesk` on the endpoints of `settings`."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        for name, value in {
            "KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
            "SCHEMA_REGISTRY__URL": settings.schema_registry.url,
            "CLICKHOUSE__URL": settings.clickhouse.url,
            "CLICKHOUSE__MIGRATE_USERNAME": settings.clickhouse.migrate_username or "",
            "CLICKHOUSE__MIGRATE_PASSWORD": plain(settings.clickhouse.migrate_password),
            "CLICKHOUSE__READER_USERNAME": settings.clickhouse.reader_username or "",
            "CLICKHOUSE__READER_PASSWORD": plain(settings.clickhouse.reader_password),
        }.items():
            monkeypatch.setenv(f"NIGHTDESK_{name}", value)

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Result:
        self._monkeypatch.setattr(sys, "argv", ["nightdesk", *arguments])
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return Result(int(ended.value.code or 0), printed.out, printed.err)
