"""Coming in by an identity provider: the whole flow over HTTP, and everything that must not let anybody in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from pydantic import SecretStr

from nightdesk.console.settings import ConsoleSettings
from nightdesk.messaging.failures import Failure
from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings
from nightdesk.operations.settings import OidcSettings
from nightdesk.settings import Settings
from nightdesk.sinks.settings import ClickHouseSettings
from tests.console.server import RunningConsole, log_in, running
from tests.fakes.identity_provider import CLIENT_ID, CLIENT_SECRET, FakeProvider, providing
from tests.sinks.conftest import NOWHERE

# A page that reads nothing from any server.
PAGE = "/ask"
FILE = {
    "teams": {"billing": ["refunds", "invoices"]},
    "persons": [{"person": "ada", "login": "Ada@Example.com", "role": "approver", "teams": ["billing"]}],
    "groups": [
        {"group": "on-call", "role": "operator"},
        {"group": "everybody", "role": "viewer", "agents": ["support-triage"]},
    ],
}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with providing() as found:
        yield found


@pytest.fixture(scope="module")
def oidc_console(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    folder = tmp_path_factory.mktemp("oidc")
    file = folder / "persons.yaml"
    file.write_text(yaml.safe_dump(FILE))
    settings = Settings(
        clickhouse=ClickHouseSettings(url=f"http://{NOWHERE}/none"),
        kafka=KafkaSettings(bootstrap_servers=NOWHERE),
        schema_registry=SchemaRegistrySettings(url=f"http://{NOWHERE}"),
    )
    oidc = OidcSettings(issuer=provider.issuer, client_id=CLIENT_ID, client_secret=SecretStr(CLIENT_SECRET))
    with running(settings, folder, file, oidc) as console:
        yield console


@pytest.fixture(autouse=True)
def nothing_is_wrong(provider: FakeProvider) -> Iterator[None]:
    yield
    provider.person, provider.changed, provider.alg = FakeProvider().person, {}, "RS256"


def test_a_person_comes_in_with_the_role_of_the_file(oidc_console: RunningConsole) -> None:
    with httpx2.Client() as client:
        assert "Log in with your organisation" in client.get(f"{oidc_console.url}/login").text
        answer = log_in(oidc_console, client, PAGE)
        assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
        page = client.get(oidc_console.url + PAGE)
        assert page.status_code == 403, "ada is for two agents, and Ask for those of every one"


@pytest.mark.parametrize(
    ("groups", "status"),
    [(["on-call"], 200), (["everybody"], 403), (["everybody", "on-call"], 200), (["others"], None), ([], None)],
)
def test_a_group_gives_its_role_and_nobody_else_comes_in(
    oidc_console: RunningConsole, provider: FakeProvider, groups: list[str], status: int | None
) -> None:
    provider.person = {"email": "otto@example.com", "email_verified": True, "groups": groups}
    with httpx2.Client() as client:
        answer = log_in(oidc_console, client, PAGE)
        if status is None:
            assert (answer.status_code, "has no role here" in answer.text) == (403, True)
            assert client.get(oidc_console.url + PAGE).status_code == 303
        else:
            page = client.get(oidc_console.url + PAGE)
            assert (page.status_code, f"login {provider.issuer} 1" in page.text) == (status, status == 200)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.example.com"},
        {"aud": "another-client"},
        {"exp": int(time.time()) - 600},
        {"nonce": "of-another-login"},
        {"sub": ""},
        {"email": ""},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": "nightdesk:system", "groups": ["on-call"]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_token_that_is_wrong_lets_nobody_in(
    oidc_console: RunningConsole, provider: FakeProvider, changed: dict[str, Any]
) -> None:
    provider.changed = changed
    with httpx2.Client() as client:
        assert log_in(oidc_console, client, PAGE).status_code == 400
        assert client.get(oidc_console.url + PAGE).status_code == 303


def test_a_token_signed_with_what_is_no_key_of_the_provider_lets_nobody_in(
    oidc_console: RunningConsole, provider: FakeProvider
) -> None:
    provider.alg = "HS256"
    with httpx2.Client() as client:
        assert log_in(oidc_console, client, PAGE).status_code == 400


def test_the_provider_may_change_its_key(oidc_console: RunningConsole, provider: FakeProvider) -> None:
    with httpx2.Client() as client:
        log_in(oidc_console, client, PAGE)
        provider.rotate()
        assert log_in(oidc_console, client, PAGE).status_code == 303


def test_a_login_belongs_to_the_browser_that_began_it_and_is_used_once(oidc_console: RunningConsole) -> None:
    with httpx2.Client() as ada, httpx2.Client() as victim:
        begun = ada.get(f"{oidc_console.url}/login/provider")
        back = httpx2.get(begun.headers["location"]).headers["location"]
        assert victim.get(back).status_code == 403, "another browser"
        assert ada.get(back).status_code == 403, "it was used"
        assert ada.get(f"{oidc_console.url}/login/return?state=&code=x").status_code == 403
        assert ada.get(f"{oidc_console.url}/login/return?state=wrong&code=x").status_code == 403


def test_a_code_is_worth_nothing_without_its_verifier(oidc_console: RunningConsole, provider: FakeProvider) -> None:
    with httpx2.Client() as client:
        begun = client.get(f"{oidc_console.url}/login/provider")
        back = httpx2.get(begun.headers["location"]).headers["location"]
        form = {"grant_type": "authorization_code", "code": back.partition("code=")[2].partition("&")[0]}
        auth = httpx2.BasicAuth(CLIENT_ID, CLIENT_SECRET)
        assert httpx2.post(f"{provider.issuer}/token", data=form, auth=auth).status_code == 400


def test_it_leads_nowhere_else_after_the_login(oidc_console: RunningConsole) -> None:
    with httpx2.Client() as client:
        assert log_in(oidc_console, client, "//evil.example.com").headers["location"] == "/"


def test_without_roles_or_a_client_id_the_console_does_not_start(tmp_path: Path) -> None:
    named = OidcSettings(issuer="https://id.example.com", client_id="x")
    without_id = {"oidc": OidcSettings(issuer=named.issuer), "token_file": tmp_path / "file"}
    for given in ({"oidc": named}, without_id):
        with pytest.raises(Failure, match="identity provider"):
            ConsoleSettings.model_validate(given).check()
