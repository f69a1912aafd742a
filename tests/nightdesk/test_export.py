"""`nightdesk export`: a line for each decision, and nothing else on stdout."""

from __future__ import annotations

import json

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.sinks.data_set import ExportedDecision
from tests.nightdesk.command_line import CommandLine
from tests.sinks.records import AGENT, acted, decided, land, of_case, outcome, record

SINCE = "2026-11-01"


def test_decisions_are_written_for_a_notebook_and_for_a_collector(nightdesk: CommandLine, client: Client) -> None:
    land(
        client,
        record("received", 0, {"data": "{}"}, **of_case()),
        decided(1),
        acted(2, "completed", outcomes=[outcome(0)]),
    )
    written = nightdesk("export", "--since", SINCE)
    assert (written.code, written.err) == (0, "")
    [line] = written.out.splitlines()
    assert json.loads(line).keys() == ExportedDecision.model_fields.keys()
    [line] = nightdesk("export", "--since", SINCE, "--format", "otel").out.splitlines()
    [scope] = json.loads(line)["resourceSpans"][0]["scopeSpans"]
    assert [span["name"] for span in scope["spans"]] == [f"invoke_agent {AGENT}"]


def test_nothing_is_no_line(nightdesk: CommandLine, client: Client) -> None:
    land(client, decided(1))
    assert nightdesk("export", "--since", SINCE, "--reviewed").out == ""
    assert nightdesk("export", "--until", SINCE, "--since", SINCE).out == ""


@pytest.mark.parametrize("arguments", [("--since", "yesterday"), ("--until", "x"), ("--format", "csv")])
def test_what_cannot_be_exported_is_said(nightdesk: CommandLine, arguments: tuple[str, str]) -> None:
    assert nightdesk("export", *arguments).code == 2
