"""`nightdesk schemas register`: run once per installation and version, before any worker starts."""

from __future__ import annotations

import typer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx2 import TransportError

from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.settings import Settings, load_settings
from schemas.registry import Registry

app = typer.Typer(help="Register the schemas.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Register the schemas."""


@app.command()
def register(output: OutputOption = Output.text) -> None:
    """Register every record's schema; refused when it breaks what is registered. Safe to run again."""
    ids = register_schemas(load_settings())
    print_rows([{"subject": subject, "id": schema_id} for subject, schema_id in ids.items()], output)


def register_schemas(settings: Settings) -> dict[str, int]:
    """Subject -> schema id. Raises `Failure`: not reachable, or a schema that breaks compatibility."""
    try:
        with SchemaRegistryClient(settings.schema_registry.client_config()) as client:
            return Registry(client).register(settings.kafka.topic_prefix)
    except TransportError as error:
        raise Failure(
            f"the schema registry at {settings.schema_registry.url} does not answer: {error}",
            "Start it, or correct NIGHTDESK_SCHEMA_REGISTRY__URL",
            ExitCode.UNREACHABLE,
        ) from error
    except SchemaRegistryError as error:
        raise Failure(
            f"the schema registry refused: {error}",
            "A record changed in a way that old readers cannot follow: give the new field a default",
        ) from error
