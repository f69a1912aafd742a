"""`nightdesk anomalies try`: yesterday's audit, as the breaker would have seen it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import FailureKind
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import AuditRecord, Fallback
from tests.nightdesk.command_line import CommandLine
from tests.processors.examples import CHARTER, FILES, case, compiled, event
from tests.sinks.records import dead_letter, land
from tests.streams.stages.stage_harness import TRACE
from tests.streams.stages.world import decision

BEGAN_AT = datetime.now(UTC) - timedelta(hours=3)


def _charter(folder: Path, bounds: str = "") -> str:
    anomalies = f"\nanomalies: {{{bounds}}}" if bounds else ""
    (folder / "charter.yaml").write_text(CHARTER.replace("mode: live", f"mode: live{anomalies}"))
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return str(folder)


def _decided(number: int, **fields: Any) -> AuditRecord:
    made = decision(case(compiled(), event().model_copy(update={"id": f"e-{number}"})))
    decided_at = BEGAN_AT + timedelta(minutes=number)
    return audit_records.decided(made.model_copy(update={"decided_at": decided_at, **fields}), "running", TRACE)


@pytest.fixture
def night(client: Client) -> None:
    """Ten decisions: the gates refused two, a model declined one, each cost a cent."""
    declined = (Fallback(provider="anthropic", reason="refused"),)
    kinds: list[dict[str, Any]] = [{}, {"disposition": "refused"}, {"disposition": "refused"}, {"fallbacks": declined}]
    land(client, *(_decided(n, cost_microusd=10_000, **(kinds[n] if n < 4 else {})) for n in range(10)))


@pytest.mark.usefixtures("night")
def test_when_it_would_have_stopped_and_why(nightdesk: CommandLine, tmp_path: Path) -> None:
    folder = _charter(tmp_path, "at_least: 4, refusal_rate: 0.15, spend_usd: 0.085, mode: enforce")
    document = nightdesk("anomalies", "try", folder, "-o", "json").json()
    assert (document["agent"], document["decisions"]) == ("desk", 10)
    found = [(stop["bounds"], stop["stopped"], stop["why"]) for stop in document["stops"]]
    assert found == [("refusal_rate", True, "3 of 4 decisions were refused, at most 15% expected")]
    dear = _charter(tmp_path, "spend_usd: 0.085")
    [stop] = nightdesk("anomalies", "try", dear, "-o", "json").json()["stops"]
    assert (stop["stopped"], stop["at"]) == (False, f"{BEGAN_AT + timedelta(minutes=8):%Y-%m-%d %H:%M:%S} UTC")
    told = nightdesk("anomalies", "try", dear).out
    assert told.startswith("desk: 10 decisions since 20")
    assert "1 times out of bounds" in told


@pytest.mark.parametrize(("error", "stops"), [("Forged", []), ("TimeoutError", ["error_rate"])])
@pytest.mark.usefixtures("night")
def test_a_forged_record_is_no_error_of_the_agent_whose_case_it_names(
    nightdesk: CommandLine, client: Client, tmp_path: Path, error: str, stops: list[str]
) -> None:
    letters = (
        dead_letter(0, detail={"error": error}, agent="desk", case_id=f"c-{number}", event_id=f"f-{number}")
        for number in range(20)
    )
    land(client, *(one.model_copy(update={"time": BEGAN_AT + timedelta(hours=1)}) for one in letters), first=100)
    folder = _charter(tmp_path, "at_least: 4, error_rate: 0.1")
    found = nightdesk("anomalies", "try", folder, "-o", "json").json()["stops"]
    assert [stop["bounds"] for stop in found][:1] == stops


@pytest.mark.usefixtures("night")
def test_what_is_older_than_asked_for_counts_no_more(nightdesk: CommandLine, tmp_path: Path) -> None:
    folder = _charter(tmp_path, "spend_usd: 0.01")
    assert nightdesk("anomalies", "try", folder, "--since", "1h").code == EXIT_CODES[FailureKind.NOT_FOUND]
    assert nightdesk("anomalies", "try", folder, "--since", "soon").code == EXIT_CODES[FailureKind.INVALID]


@pytest.mark.usefixtures("client")
def test_a_charter_that_bounds_nothing_cannot_be_tried(nightdesk: CommandLine, tmp_path: Path) -> None:
    ended = nightdesk("anomalies", "try", _charter(tmp_path))
    assert (ended.code, "bounds no anomalies" in ended.err) == (EXIT_CODES[FailureKind.INVALID], True)
