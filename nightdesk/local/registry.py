"""Apicurio as schema registry: Confluent's API, with schemas stored in an H2 file."""

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
    """The URL for a Confluent client."""
    return f"http://{LOOPBACK}:{port}{API_PATH}"


def registry_part(home: Path, ports: RegistryPorts, cache: Cache, report: Report) -> Part:
    """Download Apicurio if necessary, and return the part that runs it."""
    program = cache.folder(APICURIO, report).resolve() / "quarkus-run.jar"
    database = (home / "registry" / "schemas").resolve()
    settings = {
        "quarkus.http.host": LOOPBACK,
        "quarkus.http.port": ports.api,
        # It binds every interface by default.
        "quarkus.management.host": LOOPBACK,
        "quarkus.management.port": ports.management,
        "quarkus.http.access-log.enabled": "false",
        # WRITE_DELAY=0: a registered schema is on disk when it is acknowledged, because records may have its id by
        # then.
        "apicurio.datasource.url": f"jdbc:h2:file:{database};WRITE_DELAY=0",
        "apicurio.datasource.jdbc.initial-size": 2,
        "apicurio.datasource.jdbc.min-size": 2,
        "apicurio.datasource.jdbc.max-size": 10,
    }
    options = [f"-D{name}={value}" for name, value in settings.items()]
    answers = answers_http(registry_url(ports.api) + "/subjects")
    return Part(
        name="registry",
        where=registry_url(ports.api),
        command=java(*options, "-jar", str(program), heap_mb=256),
        is_ready=answers,
        is_alive=answers,
    )
