"""The secrets of the local stack's listeners, created once and stored in `<home>/secrets.json`, which only its owner
can read.

Loopback alone protects nothing: every web page in a browser on this machine can send requests there, and so can every
user of the machine. The listeners get their secrets from the environment.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nightdesk.messaging.failures import Failure
from nightdesk.owner_files import write_for_owner

FILE_NAME = "secrets.json"
SECRET_BYTES = 24


@dataclass(frozen=True, slots=True)
class LocalSecrets:
    """The passwords of ClickHouse's users, each by the name of the user, the key of `nightdesk forget`, the helpdesk's
    bearer token, and the token of whoever starts the stack for the web console.
    """

    clickhouse_migrate: str
    clickhouse_sink: str
    clickhouse_reader: str
    clickhouse_viewer: str
    forget_key: str
    helpdesk: str
    console: str

    @classmethod
    def of(cls, home: Path) -> LocalSecrets:
        """The secrets of the stack in `home`; those that are missing are created. Raises `Failure` if the file is
        damaged.
        """
        file = home / FILE_NAME
        names = [field.name for field in fields(cls)]
        try:
            stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
            kept = {name: str(stored[name]) for name in names if name in stored}
        except (ValueError, TypeError) as error:
            raise Failure(f"{file} is damaged", "Remove it: new secrets will be created") from error
        found = cls(**{name: kept.get(name) or secrets.token_urlsafe(SECRET_BYTES) for name in names})
        if kept != asdict(found):
            found.write(home)
        return found

    def write(self, home: Path) -> None:
        write_for_owner(home / FILE_NAME, json.dumps(asdict(self), indent=2) + "\n")
