"""What the chart, the compose file and the image promise the program, checked without any tool, on every machine.

`make test-chart` renders them; here is what no tool can know: that the names in them are names of this program.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import jsonschema_rs
import pytest
import yaml
from pydantic import BaseModel

from nightdesk.cli import COMMANDS
from nightdesk.commands.up import PREPARATION
from nightdesk.console.token_file import read_visitors
from nightdesk.console.visitors import Role
from nightdesk.effects.llm.providers import PROVIDERS
from nightdesk.settings import Settings
from nightdesk.streams.catalog import STAGES

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/nightdesk"
COMPOSE = ROOT / "docker-compose.yml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def values_schema() -> Any:
    return json.loads((CHART / "values.schema.json").read_text())


def test_the_default_values_fit_their_schema() -> None:
    schema = values_schema()
    jsonschema_rs.meta.validate(schema)
    jsonschema_rs.validate(schema, read_yaml(CHART / "values.yaml"))


@pytest.mark.parametrize("path", sorted(CHART.glob("ci/*.yaml")), ids=lambda path: str(path.stem))
def test_no_stage_has_more_replicas_than_partitions(path: Path) -> None:
    """The chart refuses that, also for a stage that joins."""
    given, default = read_yaml(path), read_yaml(CHART / "values.yaml")
    partitions = (default["kafka"] | given["kafka"])["partitions"]
    own = given.get("stages", {})
    replicas = {stage.name: (default["stages"][stage.name] | own.get(stage.name, {}))["replicas"] for stage in STAGES}
    assert {name for name, count in replicas.items() if count > partitions} == set()


def objects_of(schema: Any, path: str = "values") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object with named members in the schema, with its place."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield path, schema
        for name, part in schema.items():
            yield from objects_of(part, f"{path}.{name}")


def test_a_misspelt_value_is_an_error_at_every_depth() -> None:
    objects = list(objects_of(values_schema()))
    assert len(objects) > 10
    assert [place for place, schema in objects if schema.get("additionalProperties") is not False] == []


def test_every_default_value_is_in_the_schema_and_the_other_way_round() -> None:
    properties = values_schema()["properties"]
    assert set(properties) - {"global"} == set(read_yaml(CHART / "values.yaml"))


def test_the_chart_has_the_version_of_the_project() -> None:
    chart = read_yaml(CHART / "Chart.yaml")
    version = PROJECT["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def variables_in(path: Path) -> set[str]:
    """The names of our environment variables in a file; a template's `{{ name }}` stands for any name."""
    text = re.sub(r"\{\{[^}]*\}\}|%s", "NAME", path.read_text())
    return set(re.findall(r"NIGHTDESK_[A-Z0-9_]+", text))


def is_setting(variable: str) -> bool:
    """Whether `Settings` reads this variable."""
    fields: Any = Settings
    for part in variable.removeprefix("NIGHTDESK_").lower().split("__"):
        if get_origin(fields) is dict:
            fields = get_args(fields)[1]
        elif isinstance(fields, type) and issubclass(fields, BaseModel) and part in fields.model_fields:
            fields = fields.model_fields[part].annotation
        else:
            return False
    return not (isinstance(fields, type) and issubclass(fields, BaseModel)) and get_origin(fields) is not dict


@pytest.mark.parametrize(
    "variable", ["NIGHTDESK_KAFKA", "NIGHTDESK_KAFKA__SERVERS", "NIGHTDESK_CONNECTIONS__DESK__HOST"]
)
def test_a_wrong_variable_is_seen(variable: str) -> None:
    assert not is_setting(variable)


@pytest.mark.parametrize(
    "path",
    [
        COMPOSE,
        ROOT / "Dockerfile",
        CHART / "templates/_env.tpl",
        CHART / "templates/_providers.tpl",
        CHART / "templates/stages.yaml",
    ],
    ids=lambda path: path.name,
)
def test_every_variable_is_one_that_the_program_reads(path: Path) -> None:
    variables = variables_in(path)
    assert variables
    assert {name for name in variables if not is_setting(name)} == set()


def chart_commands(table_name: str = "") -> dict[str, list[str]]:
    """The command line of each process in the chart, by component; only those of one table if it is named."""
    table = (CHART / "templates/_needs.tpl").read_text()
    if table_name:
        [table] = re.findall(rf'define "nightdesk\.{table_name}" -}}}}\n(.*?)(?=define "|\Z)', table, re.DOTALL)
    rows = re.findall(r"^(\w+): \{args: \[([^\]]*)\]", table, re.MULTILINE)
    return {component: arguments.split(", ") for component, arguments in rows}


def compose_stages() -> dict[str, list[str]]:
    services = read_yaml(COMPOSE)["services"]
    return {
        name: service["command"] for name, service in services.items() if service.get("command", [""])[0] in COMMANDS
    }


def test_every_command_exists() -> None:
    commands = chart_commands()
    assert set(commands) > {stage.name for stage in STAGES}
    assert {arguments[0] for arguments in commands.values()} <= set(COMMANDS)


def test_chart_and_compose_run_every_stage() -> None:
    expected = {stage.name: ["worker", stage.name] for stage in STAGES} | {"sink": ["sink"]}
    assert set(read_yaml(CHART / "values.yaml")["stages"]) == set(expected)
    with_console = expected | {"console": ["console"]}
    assert {name: line for name, line in chart_commands().items() if name in with_console} == with_console
    assert compose_stages() == with_console


def test_the_charts_own_tests_know_every_process() -> None:
    """`make test-chart` needs Go, so it runs seldom: a stage that it does not know must be seen here."""
    suite = read_yaml(CHART / "tests/stages_test.yaml")
    processes = {stage.name for stage in STAGES} | {"sink"}
    of_each = {test["documentSelector"]["value"] for test in suite["tests"] if "documentSelector" in test}
    assert {name.removeprefix("night-nightdesk-") for name in of_each} - {"StatefulSet"} == processes
    [count] = [
        check["hasDocuments"]["count"]
        for test in suite["tests"]
        for check in test["asserts"]
        if "hasDocuments" in check
    ]
    assert count == 3 * len(processes)


def test_chart_and_compose_prepare_what_up_prepares() -> None:
    expected = [step.format(charters="/charters") for step in PREPARATION]
    # The local ClickHouse has its users from the start; on a server they are created first.
    expected.insert(expected.index("migrate"), "users apply")
    assert [" ".join(line) for line in chart_commands("setup").values()] == expected
    setup = read_yaml(COMPOSE)["services"]["setup"]["command"][0]
    assert setup.splitlines() == [f"nightdesk {step}" for step in expected]


def test_compose_has_a_person_for_its_console(tmp_path: Path) -> None:
    content = read_yaml(COMPOSE)
    [mounted] = content["services"]["console"]["configs"]
    assert mounted["target"] == content["services"]["console"]["environment"]["NIGHTDESK_CONSOLE__TOKEN_FILE"]
    file = tmp_path / "persons.yaml"
    file.write_text(content["configs"][mounted["source"]]["content"])
    visitor = read_visitors(file).with_token("console")
    assert visitor is not None
    assert visitor.role is Role.operator


def test_compose_gives_each_key_to_one_stage_only() -> None:
    services = read_yaml(COMPOSE)["services"]
    holders = {
        pattern: {
            name for name, service in services.items() if any(pattern in key for key in service.get("environment", {}))
        }
        for pattern in (*(spec.section.upper() for spec in PROVIDERS), "CONNECTIONS")
    }
    needing = {need: {stage.name for stage in STAGES if need in stage.needs} for need in ("model", "connections")}
    models = dict.fromkeys((spec.section.upper() for spec in PROVIDERS), needing["model"])
    assert holders == models | {"CONNECTIONS": needing["connections"]}
    assert needing == {"model": {"decide"}, "connections": {"act"}}


def test_the_image_holds_every_package() -> None:
    allowed = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    rooms = {link.name for package in packages for link in (ROOT / package).iterdir() if link.is_symlink()}
    assert rooms
    assert allowed - {name for name in allowed if not (ROOT / name).is_dir()} == packages | rooms
    assert {"requirements/core.txt", "pyproject.toml", "README.md", "LICENSE"} <= allowed


def test_compose_gives_grafana_the_dashboards_where_its_provisioning_looks_for_them() -> None:
    grafana = read_yaml(COMPOSE)["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    provisioning, folder = ROOT / "deploy/grafana/provisioning", ROOT / "deploy/grafana/dashboards"
    assert {ROOT / source: target for source, target in mounts.items() if source.startswith(".")} == {
        provisioning: "/etc/grafana/provisioning",
        folder: (target := read_yaml(provisioning / "dashboards/nightdesk.yml")["providers"][0]["options"]["path"]),
    }
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (str(home.parent), (folder / home.name).is_file()) == (target, True)
    used = re.findall(r"\$(\w+)", (provisioning / "datasources/nightdesk.yml").read_text())
    assert used
    assert set(used) <= grafana["environment"].keys()
