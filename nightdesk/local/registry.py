"""Apicurio as schema registry: Confluent's API, schemas kept in an H2 file. Used by `nightdesk.local.stack`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nightdesk.local.artifacts import Cache, Program
from nightdesk.local.java import java
from nightdesk.local.parts import LOOPBACK, Part, answers_http
from nightdesk.local.progress import Report

APICURIO = Program(
    "io.apicurio",
    "apicurio-registry-app",
    "3.3.3",
    digest="0bf46bea407341bc5cc35b01fb72338a16472ffe506ca53a26bd8af8a41157cb",
    classifier="all",
    packaging="tar.gz",
)
API_PATH = "/apis/ccompat/v7"


@dataclass(frozen=True, slots=True)
class RegistryPorts:
    api: int
    management: int


def registry_url(port: int) -> str:
    """What a Confluent client is given."""
    return f"http://{LOOPBACK}:{port}{API_PATH}"


def registry_part(home: Path, ports: RegistryPorts, cache: Cache, report: Report) -> Part:
    """Fetches Apicurio where that is still to be done, and says how to run it."""
    program = cache.folder(APICURIO, report).resolve() / "quarkus-run.jar"
    database = (home / "registry" / "schemas").resolve()
    settings = {
        "quarkus.http.host": LOOPBACK,
        "quarkus.http.port": ports.api,
        # Binds every interface unless told otherwise.
        "quarkus.management.host": LOOPBACK,
        "quarkus.management.port": ports.management,
        "quarkus.http.access-log.enabled": "false",
        # WRITE_DELAY=0: a registered schema is on disk when it is acknowledged; its id is already in records by then.
        "apicurio.datasource.url": f"jdbc:h2:file:{database};WRITE_DELAY=0",
        "apicurio.datasource.jdbc.initial-size": 2,
        "apicurio.datasource.jdbc.min-size": 2,
        "apicurio.datasource.jdbc.max-size": 10,
    }
    options = [f"-D{name}={value}" for name, value in settings.items()]
    return Part(
        name="registry",
        where=registry_url(ports.api),
        command=java(*options, "-jar", str(program), heap_mb=256),
        is_ready=answers_http(registry_url(ports.api) + "/subjects"),
    )
