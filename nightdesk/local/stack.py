"""The local stack as one object, for `nightdesk up`, the tests and the benchmarks.

A part whose endpoint is configured (`NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS`, …) is not started; the configured one is
used.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO, Any, Self

from nightdesk.local.artifacts import Cache
from nightdesk.local.clickhouse import clickhouse_endpoint, clickhouse_part
from nightdesk.local.helpdesk import helpdesk_part, helpdesk_url
from nightdesk.local.kafka import KafkaPorts, kafka_part
from nightdesk.local.parts import LOOPBACK, UTF8, Part
from nightdesk.local.ports import claim_port
from nightdesk.local.progress import Report, Silent
from nightdesk.local.registry import RegistryPorts, registry_part, registry_url
from nightdesk.local.secrets import LocalSecrets
from nightdesk.local.supervisor import Supervisor
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings, without_login
from nightdesk.running_stack import announce, withdraw
from nightdesk.settings import Settings, load_settings
from nightdesk.settings_sections import ConnectionSettings, LocalSettings
from nightdesk.sinks.settings import ClickHouseSettings

FREE_DISK_MB = 2048
# ClickHouse reads what follows `?` as parameters and decodes `%` and `+`; Kafka splits at a comma, Java's class path at
# a colon, the registry's database address at a semicolon.
NOT_IN_A_HOME = frozenset("?&%+,;:\\")
FREE_PORTS = LocalSettings(
    kafka_port=0,
    kafka_controller_port=0,
    registry_port=0,
    registry_management_port=0,
    clickhouse_port=0,
    helpdesk_port=0,
    metrics_port=0,
)


class LocalStack:
    """A running stack in `settings.home`. A context manager: inside it everything is ready, afterwards everything is
    stopped.

    `settings` inside has the endpoints; `environment()` is what a child needs to find them. Raises `Failure` with a
    remedy (a port in use, no disk space, no network, another stack in this home).
    """

    def __init__(self, settings: Settings, report: Report | None = None) -> None:
        self.settings = settings
        self._report = report or Silent()
        self._home = settings.home.resolve()
        self._endpoints: dict[str, Any] = {}
        self._lock: IO[str] | None = None
        self.supervisor = Supervisor(self._home / "logs", os.environ | UTF8 | {"PYTHONUNBUFFERED": "1"}, self._report)

    @classmethod
    def on_free_ports(cls, home: Path, cache: Path | None = None) -> LocalStack:
        """For tests and benchmarks: starts every part, on free ports, sharing the downloaded jars."""
        found = load_settings()
        shared = cache or found.local.cache or Path(".nightdesk") / "cache"
        update = {
            "home": home,
            "local": FREE_PORTS.model_copy(update={"cache": shared, "maven_url": found.local.maven_url}),
            "kafka": KafkaSettings(),
            "schema_registry": SchemaRegistrySettings(),
            "clickhouse": ClickHouseSettings(),
            "connections": {},
        }
        return cls(found.model_copy(update=update))

    def __enter__(self) -> Self:
        check_home(self._home)
        self._home.mkdir(parents=True, exist_ok=True)
        self._home.chmod(0o700)  # secrets, events and logs
        self._claim_home()
        try:
            _check_disk(self._home)
            self._start()
        except BaseException:
            self.__exit__()
            raise
        self.settings = _with_endpoints(self.settings, self._endpoints)
        announce(self._home, self._endpoints)
        return self

    def __exit__(self, *_error: object) -> None:
        self.supervisor.stop()
        if self._lock:
            withdraw(self._home)
            self._lock.close()

    def environment(self) -> dict[str, str]:
        """This process's environment plus every endpoint of the stack, for a child."""
        endpoints: dict[str, str] = {}
        for name, value in self._endpoints.items():
            endpoints |= _variables(f"NIGHTDESK_{name.upper()}", value)
        return os.environ | endpoints | {"NIGHTDESK_HOME": str(self._home)}

    def _claim_home(self) -> None:
        lock = (self._home / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            pid = lock.read().strip()
            lock.close()
            raise Failure(
                f"a local stack already runs on {self._home} (process {pid})",
                f"Use that one, or stop it first (Ctrl-C in its terminal, or kill {pid})",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _start(self) -> None:
        local = self.settings.local
        cache = Cache((local.cache or self._home / "cache").resolve(), local.maven_url)
        secrets = LocalSecrets.of(self._home)
        parts = (self._kafka(cache), self._registry(cache), self._clickhouse(secrets), self._helpdesk(secrets))
        self.supervisor.start(*(part for part in parts if part))

    def _kafka(self, cache: Cache) -> Part | None:
        if self.settings.kafka.bootstrap_servers:
            return self._leave("kafka", self.settings.kafka.bootstrap_servers)
        ports = KafkaPorts(self._port("kafka_port"), self._port("kafka_controller_port"))
        self._endpoints["kafka"] = {"bootstrap_servers": f"{LOOPBACK}:{ports.broker}"}
        return kafka_part(self._home, ports, cache, self._report)

    def _registry(self, cache: Cache) -> Part | None:
        if self.settings.schema_registry.url:
            return self._leave("registry", without_login(self.settings.schema_registry.url))
        ports = RegistryPorts(self._port("registry_port"), self._port("registry_management_port"))
        self._endpoints["schema_registry"] = {"url": registry_url(ports.api)}
        return registry_part(self._home, ports, cache, self._report)

    def _clickhouse(self, secrets: LocalSecrets) -> Part | None:
        if self.settings.clickhouse.url:
            return self._leave("clickhouse", self.settings.clickhouse.public_url)
        port = self._port("clickhouse_port")
        self._endpoints["clickhouse"] = clickhouse_endpoint(port, secrets)
        accounts = _clickhouse_settings(self.settings, self._endpoints).accounts()
        return clickhouse_part(self._home, port, accounts)

    def _helpdesk(self, secrets: LocalSecrets) -> Part | None:
        if "helpdesk" in self.settings.connections:
            return self._leave("helpdesk", without_login(self.settings.connections["helpdesk"].base_url))
        port = self._port("helpdesk_port")
        desk = {"base_url": helpdesk_url(port), "allow_private": True, "token": secrets.helpdesk}
        self._endpoints["connections"] = {"helpdesk": desk}
        return helpdesk_part(self._home, port, secrets.helpdesk)

    def _leave(self, name: str, where: str) -> Part | None:
        self._report.show(f"{name:<11} {where} (configured: not started here)")
        return None

    def _port(self, name: str) -> int:
        return claim_port(getattr(self.settings.local, name), f"NIGHTDESK_LOCAL__{name.upper()}")


def check_home(home: Path) -> None:
    """Raises `Failure` for a path that one of the programs would misread, so that its data would be elsewhere."""
    wrong = sorted({character for character in str(home) if character in NOT_IN_A_HOME or not character.isprintable()})
    if wrong:
        raise Failure(
            f"the local stack cannot keep its data in {str(home)!a}: {', '.join(map(ascii, wrong))} in the path",
            "Set NIGHTDESK_HOME to a folder without such characters",
            FailureKind.INVALID,
        )


def _check_disk(home: Path) -> None:
    free_mb = shutil.disk_usage(home).free // (1024 * 1024)
    if free_mb < FREE_DISK_MB:
        raise Failure(
            f"only {free_mb} MB free on the disk of {home}, the local stack needs {FREE_DISK_MB} MB",
            "Free some space, or set NIGHTDESK_HOME to a folder on another disk",
        )


def _with_endpoints(settings: Settings, endpoints: dict[str, Any]) -> Settings:
    """`settings` with the endpoints of the parts that were started here."""
    connections = {name: ConnectionSettings(**values) for name, values in endpoints.get("connections", {}).items()}
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update=endpoints.get("kafka")),
            "schema_registry": settings.schema_registry.model_copy(update=endpoints.get("schema_registry")),
            "clickhouse": _clickhouse_settings(settings, endpoints),
            "connections": settings.connections | connections,
        }
    )


def _clickhouse_settings(settings: Settings, endpoints: dict[str, Any]) -> ClickHouseSettings:
    return ClickHouseSettings(**settings.clickhouse.model_dump() | endpoints.get("clickhouse", {}))


def _variables(name: str, value: Any) -> dict[str, str]:
    """The environment variables for `value`, as `Settings` reads them."""
    if not isinstance(value, dict):
        return {name: str(value)}
    found: dict[str, str] = {}
    for key, inner in value.items():
        found |= _variables(f"{name}__{key.upper()}", inner)
    return found
