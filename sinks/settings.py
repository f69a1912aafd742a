"""The connection settings of the audit database. `nightdesk.settings` reads this section from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from nightdesk.messaging.failures import NotConfigured
from nightdesk.messaging.settings import Section, ServerUrl, login_of, plain, server_of, without_login
from nightdesk.sinks.clickhouse.access import STORE_USERS, Account, StoreUser
from nightdesk.sinks.clickhouse.backups import DISK, Destination
from nightdesk.sinks.clickhouse.retention import DEFAULT_MONTHS, MONTHS_AT_MOST, NAMES, Retention
from nightdesk.sinks.clickhouse.topology import Topology


class ViewerSettings(Section):
    """A further viewer, with its name as the key: it sees the rows of `agents` (separated by commas) and no others."""

    password: SecretStr
    agents: Annotated[tuple[str, ...], NoDecode]

    @field_validator("agents", mode="before")
    @classmethod
    def _separated(cls, value: Any) -> Any:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("agents")
    @classmethod
    def _names_one(cls, agents: tuple[str, ...]) -> tuple[str, ...]:
        if not agents:
            raise ValueError("name at least one agent, such as support-triage,refunds")
        return agents


FORGET_KEY_LENGTH = 16

# The user whose login is used by a user without its own.
STANDS_IN: Mapping[str, str] = {"admin": "migrate", "migrate": "sink", "viewer": "reader", "reader": "sink"}
DEFAULT_NAMES: Mapping[StoreUser, str] = {user: f"nightdesk_{user}" for user in STORE_USERS}


class ClickHouseSettings(Section):
    """The audit database: `http://user:password@host:port/database`.

    The user of the URL, or of `username` and `password`, which win, is the sink's. Each other user has a name and a
    password of its own, or else: `migrate` (creates and changes tables) and `reader` (`sql`, `why`, `approvals`, the
    console) log in as the sink, `viewer` (dashboards) as the reader, `admin` (creates the users) as `migrate`.
    `viewers` are further viewers, each of some agents.
    """

    url: ServerUrl = Field(default="", repr=False)
    username: str | None = None
    password: SecretStr | None = None
    migrate_username: str | None = None
    migrate_password: SecretStr | None = None
    reader_username: str | None = None
    reader_password: SecretStr | None = None
    viewer_username: str | None = None
    viewer_password: SecretStr | None = None
    admin_username: str | None = None
    admin_password: SecretStr | None = None
    viewers: dict[str, ViewerSettings] = Field(default_factory=dict)
    # A cluster of ClickHouse: its name in `remote_servers`, whether tables are replicated, and where in Keeper, with
    # ClickHouse's macros; without a path, where the servers put it by default.
    cluster: str = ""
    replicated: bool = False
    replication_path: str = ""
    replica: str = "{replica}"
    # How many months rows are kept, the tables that differ, and how long texts and prompts are kept if not as long as
    # their rows. At least two months, so that reading a topic again brings no record of an hour whose facts are gone.
    retention_months: int = Field(default=DEFAULT_MONTHS, ge=2, le=MONTHS_AT_MOST)
    table_retention_months: dict[str, Annotated[int, Field(ge=2, le=MONTHS_AT_MOST)]] = Field(default_factory=dict)
    text_retention_months: int | None = Field(default=None, ge=1, le=MONTHS_AT_MOST)
    prompt_retention_months: int | None = Field(default=None, ge=1, le=MONTHS_AT_MOST)
    # The place of backups, and the key of the bucket if it is a bucket for which the server has no key of its own.
    backup_to: str = ""
    backup_access_key_id: str = ""
    backup_secret_access_key: SecretStr | None = None
    # The key of the digests of forgotten subjects. The sink and `nightdesk forget` need the same one.
    forget_key: SecretStr | None = Field(default=None, min_length=FORGET_KEY_LENGTH)

    @field_validator("table_retention_months")
    @classmethod
    def _names_tables(cls, months: dict[str, int]) -> dict[str, int]:
        if unknown := sorted(months.keys() - NAMES):
            raise ValueError(f"no table {', '.join(unknown)}: name one of {', '.join(sorted(NAMES))}")
        return months

    @field_validator("backup_to")
    @classmethod
    def _is_a_disk_or_a_bucket(cls, place: str) -> str:
        if place and (place == DISK or not place.startswith((DISK, "https://", "http://"))):
            raise ValueError("write it as disk:NAME, or as the URL of a folder in a bucket")
        return place.rstrip("/")

    @model_validator(mode="after")
    def _is_replicated_on_a_cluster(self) -> ClickHouseSettings:
        if self.cluster and not self.replicated:
            raise ValueError("a cluster's tables must be replicated: set NIGHTDESK_CLICKHOUSE__REPLICATED=true")
        return self

    @property
    def topology(self) -> Topology:
        """Where the tables lie."""
        return Topology(self.cluster, self.replicated, self.replication_path, self.replica)

    @property
    def backup_destination(self) -> Destination:
        """Where backups lie."""
        return Destination(self.backup_to, self.backup_access_key_id, plain(self.backup_secret_access_key))

    @property
    def database(self) -> str:
        """Its name."""
        return str(self.client_arguments()["database"])

    @property
    def retention(self) -> Retention:
        """How long rows and texts are kept."""
        return Retention(
            self.retention_months,
            self.text_retention_months,
            self.prompt_retention_months,
            self.table_retention_months,
        )

    def client_arguments(self, user: StoreUser | Literal["admin"] = "sink") -> dict[str, Any]:
        """Keyword arguments of `clickhouse_connect.get_client`. Raises `NotConfigured`."""
        if not self.url:
            raise NotConfigured("ClickHouse", "NIGHTDESK_CLICKHOUSE__URL")
        server = server_of(self.url)
        username, password = self.login(user)
        secure = server.scheme == "https"
        return {
            "host": server.hostname,
            "port": server.port or (8443 if secure else 8123),
            "username": username,
            "password": password,
            "database": server.path.strip("/") or "default",
            "secure": secure,
        }

    def login(self, user: str) -> tuple[str, str]:
        """The name and the password with which it logs in."""
        if user == "sink":
            name, password = login_of(self.url)
            return self.username or name or "default", plain(self.password) if self.password else password
        if self.has_own_login(user):
            return getattr(self, f"{user}_username"), plain(getattr(self, f"{user}_password"))
        return self.login(STANDS_IN[user])

    def has_own_login(self, user: str) -> bool:
        """Whether the user has a login of its own."""
        return user == "sink" or getattr(self, f"{user}_username") is not None

    def accounts(self) -> list[Account]:
        """The database's users. One that is not set has its default name and no password."""
        made = [
            Account(user, *self.login(user)) if self.has_own_login(user) else Account(user, DEFAULT_NAMES[user])
            for user in STORE_USERS
        ]
        return made + [
            Account("viewer", name, plain(viewer.password), viewer.agents) for name, viewer in self.viewers.items()
        ]

    @property
    def public_url(self) -> str:
        """The URL without user and password, for printing."""
        return without_login(self.url)
