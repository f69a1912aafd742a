"""E-mail is handed in to a real mail server: encrypted and with a login, or not at all."""

from pathlib import Path

import pytest

from nightdesk.effects.channels.addresses import MailServer
from nightdesk.processors.playbook import StepResult
from tests.effects.channels.test_channels import address, send
from tests.fakes.smtp_server import PASSWORD, USER, certificate, smtp_server


async def _hand_in(port: int, tls: str, password: str = PASSWORD) -> StepResult:
    server = MailServer("127.0.0.1", port, "nightdesk@example.com", USER, password, tls)  # type: ignore[arg-type]  # a row of a table
    return await send(address("email", to=("a@example.com",)), server)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_message_is_handed_in_encrypted_and_with_a_login(
    tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    async with smtp_server(files, tls) as taken:
        result = await _hand_in(taken.port, tls)
        assert (result.status, result.error) == ("done", None)
        assert (taken.encrypted, taken.logins) == ([True], [True])
        assert taken.mails[0]["Message-ID"] == "<batch-1@nightdesk>"


async def test_a_wrong_password_is_not_tried_again_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    async with smtp_server(files, "starttls") as taken:
        result = await _hand_in(taken.port, "starttls", "another-secret")
        assert (result.status, result.retryable, taken.mails) == ("failed", False, [])
        assert "535" in str(result.error)
        assert "another-secret" not in str(result.error)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_nothing_is_handed_in_to_a_server_whose_certificate_nobody_trusts(tls: str, tmp_path: Path) -> None:
    async with smtp_server(certificate(tmp_path), tls) as taken:
        result = await _hand_in(taken.port, tls)
        assert (result.status, taken.mails) == ("failed", [])
        assert "CERTIFICATE_VERIFY_FAILED" in str(result.error)


async def test_nothing_is_handed_in_unencrypted_where_encryption_was_asked_for(tmp_path: Path) -> None:
    async with smtp_server(certificate(tmp_path), "none") as taken:
        result = await _hand_in(taken.port, "starttls")
        assert (result.status, taken.mails, taken.logins) == ("failed", [], [])
        assert "STARTTLS" in str(result.error)


async def test_what_the_server_took_is_not_sent_again_because_of_how_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    async with smtp_server(files, "starttls") as taken:
        taken.ends_badly = True
        result = await _hand_in(taken.port, "starttls")
        assert (result.status, result.error, len(taken.mails)) == ("done", None, 1)
