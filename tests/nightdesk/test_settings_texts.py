"""Odd characters in every secret and every address: each is sent as it is or refused at the start, and never shown."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, SecretStr

from nightdesk.effects.llm.providers import PROVIDERS
from nightdesk.messaging.failures import Failure
from nightdesk.settings import Settings, load_settings
from tests.nightdesk.command_line import CommandLine

# Whatever else a route or a connection needs.
BESIDE = {
    "NIGHTDESK_CONNECTIONS__DESK__BASE_URL": "http://127.0.0.1:9",
    "NIGHTDESK_NOTIFY__ON_CALL__CHANNEL": "webhook",
    "NIGHTDESK_CLICKHOUSE__VIEWERS__GRAFANA__AGENTS": "desk",
    "NIGHTDESK_CLICKHOUSE__VIEWERS__GRAFANA__PASSWORD": "given",
    "NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "NIGHTDESK_SCHEMA_REGISTRY__URL": "http://127.0.0.1:9",
    "NIGHTDESK_SCHEMA_REGISTRY__USERNAME": "nightdesk",
    "NIGHTDESK_CLICKHOUSE__URL": "http://127.0.0.1:9/audit",
}
IN_A_HEADER = (
    *(f"NIGHTDESK_{provider.section.upper()}__API_KEY" for provider in PROVIDERS),
    "NIGHTDESK_CONNECTIONS__DESK__TOKEN",
    "NIGHTDESK_NOTIFY__ON_CALL__TOKEN",
    "NIGHTDESK_CONSOLE__TOKEN",
    "NIGHTDESK_OTLP__HEADERS__AUTHORIZATION",
)
ASCII = (*IN_A_HEADER, "NIGHTDESK_SMTP__PASSWORD")
ANY_CHARACTER = (
    "NIGHTDESK_KAFKA__SASL_PASSWORD",
    "NIGHTDESK_SCHEMA_REGISTRY__PASSWORD",
    "NIGHTDESK_CLICKHOUSE__PASSWORD",
    *(f"NIGHTDESK_CLICKHOUSE__{user}_PASSWORD" for user in ("MIGRATE", "READER", "VIEWER", "ADMIN")),
    "NIGHTDESK_CLICKHOUSE__VIEWERS__GRAFANA__PASSWORD",
    "NIGHTDESK_CLICKHOUSE__BACKUP_SECRET_ACCESS_KEY",
    "NIGHTDESK_CLICKHOUSE__FORGET_KEY",
    "NIGHTDESK_CONSOLE__OIDC__CLIENT_SECRET",
    "NIGHTDESK_CONSOLE__SLACK__SIGNING_SECRET",
    "NIGHTDESK_CONSOLE__WEBHOOK_SECRET",
)
ADDRESS = "NIGHTDESK_NOTIFY__ON_CALL__URL"
SECRETS = (*ASCII, *ANY_CHARACTER, ADDRESS)
# The halves of each secret, of which no message of ours has a part; together they are long enough for every setting.
FIRST, LAST = "zq7Xw9vKp2", "Jf4Lm8Rt6N"
ODD = [
    f"{FIRST}{odd}{LAST}"
    for odd in ("#", "/", "?", "[", "]", "@", "%", ":", "%00", "\\0", "\\u0000", "'", '"', " ", "$x")
]
UMLAUT = f"{FIRST}\xfc{LAST}"
BROKEN = [
    f"{FIRST}\n{LAST}",
    f"{FIRST}{LAST}\n",
    f"{FIRST}\r{LAST}",
    f"{FIRST}\t{LAST}",
    f"{FIRST}\x1b{LAST}",
    f"{FIRST}\x9b{LAST}",
    f" {FIRST}{LAST}",
    f"{FIRST}\udcff{LAST}",
]


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in BESIDE.items():
        monkeypatch.setenv(variable, value)


def shows(text: str) -> bool:
    """Whether the text has any four characters of a half of the secret."""
    return any(half[start : start + 4] in text for half in (FIRST, LAST) for start in range(len(half) - 3))


def _secrets(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        parts = [field.annotation, *getattr(field.annotation, "__args__", ())]
        if SecretStr in parts:
            yield name.upper()
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from (f"{name.upper()}__{inner}" for inner in _secrets(part))


def test_every_secret_setting_is_tried() -> None:
    names = {
        "__".join(part for part in one.split("__") if part not in ("DESK", "ON_CALL", "GRAFANA")) for one in SECRETS
    }
    names = {name.removesuffix("__AUTHORIZATION").removeprefix("NIGHTDESK_") for name in names}
    assert set(_secrets(Settings)) == names, "add each secret setting to IN_A_HEADER, ASCII or ANY_CHARACTER above"


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_is_kept_as_it_is_or_refused_with_what_to_do(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [value for value in ODD if variable != ADDRESS] + [UMLAUT] * (variable in ANY_CHARACTER)
    for value in good:
        monkeypatch.setenv(variable, value)
        settings = load_settings()
        assert value in json.dumps(settings.model_dump(), default=_plain, ensure_ascii=False).replace(
            '\\"', '"'
        ).replace("\\\\", "\\")
        assert not shows(f"{settings!r} {settings}")
    bad = [*BROKEN, *[UMLAUT] * (variable not in ANY_CHARACTER)]
    bad += [f"https://example.com/{FIRST}#{LAST}", f"https://example.com/{FIRST} {LAST}"] * (variable == ADDRESS)
    for value in bad:
        monkeypatch.setenv(variable, value)
        with pytest.raises(Failure) as refused:
            load_settings()
        assert variable in str(refused.value)
        assert not shows(f"{refused.value} {refused.value!r}")


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


PRINTED = (
    "NIGHTDESK_ANTHROPIC__BASE_URL",
    "NIGHTDESK_OPENAI__BASE_URL",
    "NIGHTDESK_CONNECTIONS__DESK__BASE_URL",
    "NIGHTDESK_OTLP__ENDPOINT",
    "NIGHTDESK_LOCAL__MAVEN_URL",
    "NIGHTDESK_CONSOLE__URL",
    "NIGHTDESK_CONSOLE__OIDC__ISSUER",
    "NIGHTDESK_CONSOLE__SLACK__RESPONSES",
    "NIGHTDESK_CLICKHOUSE__BACKUP_TO",
)
WITH_LOGIN = ("NIGHTDESK_SCHEMA_REGISTRY__URL", "NIGHTDESK_CLICKHOUSE__URL")


@pytest.mark.parametrize(
    "variable", [*PRINTED, *WITH_LOGIN, "NIGHTDESK_SMTP__HOST", "NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS"]
)
def test_no_secret_stands_in_an_address_that_is_printed(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in (*ODD, UMLAUT, *BROKEN):
        written = [f"http://user:{secret}@example.com/path", f"http://{secret}@example.com"]
        if variable in WITH_LOGIN:
            monkeypatch.setenv(variable, written[0])
            settings = load_settings()
            assert not shows(f"{settings!r} {settings} {settings.clickhouse.public_url}")
            written = []
        if variable in (*PRINTED, *WITH_LOGIN):
            written += [f"http://example.com/?password={secret}", f"http://example.com/#{secret}"]
        for address in written:
            monkeypatch.setenv(variable, address)
            with pytest.raises(Failure) as refused:
                load_settings()
            assert variable in str(refused.value)
            assert not shows(str(refused.value))


@pytest.mark.parametrize("command", [("doctor",), ("audit", "backup")])
def test_no_command_shows_a_part_of_a_secret(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every secret set, and nothing that answers."""
    monkeypatch.setenv("NIGHTDESK_KAFKA__SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("NIGHTDESK_KAFKA__SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("NIGHTDESK_KAFKA__SASL_USERNAME", "nightdesk")
    secrets = dict(zip(SECRETS, itertools.cycle(ODD), strict=False))
    secrets |= dict.fromkeys(ANY_CHARACTER, f"{UMLAUT}#/?[]@%:") | {ADDRESS: f"http://127.0.0.1:9/{FIRST}{LAST}"}
    for variable, value in secrets.items():
        monkeypatch.setenv(variable, value)
    result = CommandLine(load_settings(), monkeypatch, capsys)(*command)
    assert "Traceback" not in result.out + result.err
    assert not shows(result.out + result.err)
