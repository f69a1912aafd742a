"""Where backups lie, in SQL and in the settings, and how a backup is followed to its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import ValidationError

from nightdesk.sinks.clickhouse import backups
from nightdesk.sinks.clickhouse.backups import Backup, BackupFailed, Destination, follow
from nightdesk.sinks.clickhouse.topology import Topology
from nightdesk.sinks.settings import ClickHouseSettings

BUCKET = "https://audit.s3.amazonaws.com/nightdesk"


class Server:
    """Answers one query after another, and keeps what it was asked."""

    def __init__(self, *answers: list[tuple[Any, ...]]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def query(self, sql: str, _parameters: Any = None) -> Any:
        self.asked.append(sql)
        return SimpleNamespace(result_rows=self.answers.pop(0))

    @property
    def client(self) -> Client:
        return cast(Client, self)


def test_a_backup_lies_on_a_disk_or_in_a_bucket() -> None:
    assert Destination("disk:backups").of("it's") == r"Disk('backups', 'it\'s')"
    assert Destination(BUCKET).of("one") == f"S3('{BUCKET}/one')"
    assert Destination(BUCKET, "key", "secret").of("one") == f"S3('{BUCKET}/one', 'key', 'secret')"
    assert "secret" not in repr(Destination(BUCKET, "key", "secret"))
    assert [Destination(place).kind for place in ("", "disk:a", BUCKET)] == ["", "DISK", "S3"]


def test_settings_name_a_disk_or_a_bucket() -> None:
    assert ClickHouseSettings(backup_to=f"{BUCKET}/").backup_destination.place == BUCKET
    for wrong in ("disk:", "/var/backups", "s3://bucket"):
        with pytest.raises(ValidationError, match="disk:NAME"):
            ClickHouseSettings(backup_to=wrong)


def test_a_backup_leaves_out_the_views_and_what_its_base_has() -> None:
    server = Server([("cases",), ("o`dd",)], [("id-1", "CREATING_BACKUP")])
    backup = Backup("audit", Destination("disk:b"), "second", base="first", topology=Topology("c"))
    assert backup.begin(server.client) == "id-1"
    assert server.asked[1] == (
        r"BACKUP DATABASE `audit` EXCEPT TABLES `audit`.`cases`, `audit`.`o\`dd` ON CLUSTER `c` "
        "TO Disk('b', 'second') ASYNC SETTINGS base_backup = Disk('b', 'first')"
    )


def test_progress_is_told_in_bytes_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "LOOK_S", 0.0)
    told: list[tuple[str, int]] = []

    def begin(total: int) -> Any:
        told.append(("of", total))
        return lambda done: told.append(("more", done))

    states = [("RESTORING", 0, 0, ""), ("RESTORING", 90, 40, ""), ("RESTORED", 90, 90, "")]
    assert follow(Server(*([state] for state in states)).client, "id", begin) == 90
    assert told == [("of", 90), ("more", 40), ("more", 50)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [([("BACKUP_FAILED", 0, 0, "Code: 1. No space, Stack trace (when copying)")], "No space$"), ([], "restarted")],
)
def test_a_backup_that_failed_or_vanished_is_no_backup(rows: list[tuple[Any, ...]], said: str) -> None:
    with pytest.raises(BackupFailed, match=said):
        follow(Server(rows).client, "id", lambda _total: lambda _done: None)
