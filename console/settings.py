"""The settings of the web console. `nightdesk.settings` reads this section from the environment."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, SecretStr

from nightdesk.console.signatures import key_of
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import Section, ServerUrl, server_of
from nightdesk.operations.settings import OidcSettings

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class SlackSettings(Section):
    """Our app at Slack: its signing secret, and the address below which Slack accepts the result of an answer."""

    signing_secret: SecretStr | None = None
    responses: ServerUrl = "https://hooks.slack.com"


class ConsoleSettings(Section):
    """The console listens on `host` and `port`; `url` is the address at which people open it, if it is another one.

    `token_file` names the persons and their roles. Without one the console only listens on loopback, for the person who
    started it and who logs in with `token`: the console makes one if none is given. With `slack` and `webhook_secret`
    the console accepts answers to approvals that are signed with these secrets.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=18080, ge=0, le=65535)
    url: ServerUrl = ""
    token_file: Path | None = None
    token: SecretStr | None = None
    oidc: OidcSettings = OidcSettings()
    slack: SlackSettings = SlackSettings()
    webhook_secret: SecretStr | None = None

    def check(self) -> None:
        """Raises `Failure` if others could reach the console and nothing says who they are."""
        if self.token_file is None and not _is_loopback(self.host):
            raise Failure(
                f"the console does not listen on {self.host} without a token file, because anybody could approve",
                "Set NIGHTDESK_CONSOLE__TOKEN_FILE (docs/how-to/console.md), or leave out NIGHTDESK_CONSOLE__HOST",
                FailureKind.NOT_CONFIGURED,
            )
        if self.oidc.issuer and (self.token_file is None or not self.oidc.client_id):
            raise Failure(
                "the identity provider has no client id, or no token file says what its persons may do",
                "Set NIGHTDESK_CONSOLE__OIDC__CLIENT_ID, and NIGHTDESK_CONSOLE__TOKEN_FILE for the roles",
                FailureKind.NOT_CONFIGURED,
            )

        if self.takes_answers and self.token_file is None:
            raise Failure(
                "Slack or a webhook may send answers, and no token file says which persons give them",
                "Set NIGHTDESK_CONSOLE__TOKEN_FILE (docs/how-to/approvals.md)",
                FailureKind.NOT_CONFIGURED,
            )
        if self.webhook_secret is not None:
            try:
                key_of(self.webhook_secret.get_secret_value())
            except ValueError as error:
                remedy = "Write whsec_ followed by at least 24 bytes in base64"
                raise Failure(f"NIGHTDESK_CONSOLE__WEBHOOK_SECRET: {error}", remedy, FailureKind.INVALID) from None

    @property
    def takes_answers(self) -> bool:
        """Whether approvals may be answered from elsewhere."""
        return self.slack.signing_secret is not None or self.webhook_secret is not None

    @property
    def hosts(self) -> frozenset[str]:
        """The host names that a request may use for the console, because another web page could point its own name
        here.
        """
        named = {server_of(self.url).netloc} if self.url else set()
        return frozenset({*named, *(f"{name}:{self.port}" for name in LOOPBACK_NAMES)})

    @property
    def is_encrypted(self) -> bool:
        """Whether people reach it by https, through a proxy."""
        return self.url.startswith("https:")

    @property
    def address(self) -> str:
        """The address for people, without a slash at its end."""
        return self.url.rstrip("/") or f"http://{self.host}:{self.port}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
