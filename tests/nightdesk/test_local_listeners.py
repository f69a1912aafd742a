"""The listeners of the local stack: loopback only, each with its own secret, and closed to web pages."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nightdesk.local.stack import FREE_PORTS, LocalStack
from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.migrations import migrate_database
from nightdesk.settings import load_settings

WEB_PAGES = [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose path has characters that occur in people's names."""
    return tmp_path_factory.mktemp("Jürgens Büro #1")


@pytest.fixture(scope="module")
def desk_and_audit(home: Path) -> Iterator[LocalStack]:
    """ClickHouse and the help desk; Kafka and the registry count as running elsewhere."""
    elsewhere = {
        "home": home,
        "local": FREE_PORTS,
        "kafka": KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        "schema_registry": SchemaRegistrySettings(url="http://127.0.0.1:1"),
    }
    with LocalStack(load_settings().model_copy(update=elsewhere)) as running:
        yield running


def status(url: str, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_each_has_a_secret_and_is_deaf_to_web_pages(desk_and_audit: LocalStack) -> None:
    settings = desk_and_audit.settings
    audit, desk = settings.clickhouse, settings.connections["helpdesk"]
    asked = audit.client_arguments("reader")
    token = desk.token.get_secret_value() if desk.token else ""
    logins = {
        f"http://127.0.0.1:{asked['port']}/?query=SELECT%201": {
            "X-ClickHouse-User": asked["username"],
            "X-ClickHouse-Key": asked["password"],
        },
        f"{desk.base_url}/count": {"Authorization": f"Bearer {token}"},
    }
    for url, login in logins.items():
        assert status(url, login) == 200, url
        assert status(url, {}) == 401, url
        assert status(url, login | {list(login)[-1]: "\xff"}) == 401, url  # a byte that is no text
        for page in WEB_PAGES:
            assert status(url, login | page) == 403, (url, page)


def test_secrets_are_for_their_owner_and_stay(desk_and_audit: LocalStack, home: Path) -> None:
    for name in ("secrets.json", "stack.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    secrets = json.loads((home / "secrets.json").read_text()).values()
    assert all(len(secret) == 32 for secret in secrets)
    for child in desk_and_audit.supervisor.children:
        assert child.process is not None
        words = " ".join(psutil.Process(child.process.pid).cmdline())
        assert not [secret for secret in secrets if secret in words]
    assert not list(home.parent.glob("J*-*.xml"))


def test_the_commands_read_as_the_reader(desk_and_audit: LocalStack) -> None:
    settings = desk_and_audit.settings.clickhouse
    migrate_database(settings)
    with clickhouse(settings) as client:
        assert client.query("SELECT count() FROM cases").result_rows == [(0,)]
    command = [sys.executable, "-m", "nightdesk", "sql"]
    for question, code in {"SELECT count() FROM records": 0, "SELECT file('/etc/hostname')": 1}.items():
        ran = subprocess.run([*command, question], env=desk_and_audit.environment(), capture_output=True, check=False)
        assert ran.returncode == code, ran.stderr
