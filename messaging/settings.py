"""The connection settings of Kafka and the schema registry: the one configuration of every client.

`nightdesk.settings` reads these sections from the environment.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from nightdesk.messaging.failures import NotConfigured


class Section(BaseModel):
    """A group of settings; an unknown name is an error and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """The broker and the settings of our topics on it."""

    bootstrap_servers: str = ""
    topic_prefix: str = "nightdesk."
    partitions: int = Field(default=4, ge=1)
    replication_factor: int = Field(default=1, ge=1)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = None

    def client_config(self) -> dict[str, Any]:
        """The address and login in a confluent-kafka client's configuration. Raises `NotConfigured`."""
        if not self.bootstrap_servers:
            raise NotConfigured("Kafka broker", "NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS")
        config = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password and self.sasl_password.get_secret_value(),
            "ssl.ca.location": self.ssl_ca_location,
        }
        return {name: value for name, value in config.items() if value is not None}


def _is_url(url: str) -> str:
    if url:
        server_of(url)
    return url


# The address of a server of the installation; empty if none is configured. It may contain a login.
ServerUrl = Annotated[str, AfterValidator(_is_url)]


class SchemaRegistrySettings(Section):
    """A registry with Confluent's API at `url`."""

    url: ServerUrl = Field(default="", repr=False)
    username: str | None = None
    password: SecretStr | None = None

    def client_config(self) -> dict[str, Any]:
        """The configuration of confluent-kafka's `SchemaRegistryClient`. Raises `NotConfigured`."""
        if not self.url:
            raise NotConfigured("schema registry", "NIGHTDESK_SCHEMA_REGISTRY__URL")
        of_url, password_of_url = login_of(self.url)
        username = self.username or of_url
        password = plain(self.password) if self.password else password_of_url
        login = {"basic.auth.user.info": f"{username}:{password}"} if username else {}
        return {"url": without_login(self.url)} | login


class Endpoints(Protocol):
    """The addresses of Kafka and the registry. `nightdesk.settings.Settings` implements it."""

    @property
    def kafka(self) -> KafkaSettings: ...

    @property
    def schema_registry(self) -> SchemaRegistrySettings: ...


def without_login(url: str) -> str:
    """`url` without user and password, whatever characters they have, for printing."""
    scheme, _, rest = login_and_rest(url)
    return scheme + rest


def login_and_rest(url: str) -> tuple[str, str, str]:
    """`http://`, `user:password`, `host:port/path`. A password may have characters that end the host in a URL."""
    scheme, separator, rest = url.partition("://")
    login, _, server = rest.rpartition("@")
    return scheme + separator, login, server


def login_of(url: str) -> tuple[str, str]:
    """The decoded user and password of the url; empty if it has none."""
    user, _, password = login_and_rest(url)[1].partition(":")
    return unquote(user), unquote(password)


def server_of(url: str) -> SplitResult:
    """The parts of the url, without its login. Raises a `ValueError` that does not quote the url, because that may
    contain a password.
    """
    try:
        without_login(url).encode()
        server = urlsplit(without_login(url))
        if server.scheme in ("http", "https") and server.hostname and server.port != 0:
            return server
    except ValueError:
        pass
    raise ValueError("write it as http://user:password@host:port/path")


def plain(secret: SecretStr | None) -> str:
    """The secret's value; empty if it is not set."""
    return secret.get_secret_value() if secret else ""
