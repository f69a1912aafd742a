"""`nightdesk approvals list|show|approve|reject`: what waits for a person, and the person's answer.

JSON contract: `list` prints a list of {decision_id, subject, agent, action, parameters, reasoning, confidence, reason,
asked_at, expires_at, payload_sha256}, `show` one of those. Exit code 3 where nothing waits under that id.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from nightdesk.clickhouse import clickhouse
from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, OutputOption, print_rows, without_silent
from nightdesk.registered_codec import registered_codec
from nightdesk.saying import say
from nightdesk.settings import Settings, load_settings
from schemas.records import ApprovalReply
from schemas.topics import APPROVALS
from sinks.approvals import Waiting, waiting

# As much of a decision's id as `list` shows, and as must be given.
SHOWN_CHARACTERS = 13
LEAST_CHARACTERS = 6

app = typer.Typer(help="What waits for a person, and the person's answer.", no_args_is_help=True)

Decision = Annotated[str, typer.Argument(help="the decision, by the beginning of its id", metavar="DECISION")]
Reason = Annotated[str, typer.Option(help="kept in the audit")]


@app.callback()
def root() -> None:
    """What waits for a person, and the person's answer."""


@app.command("list")
def list_waiting(output: OutputOption = Output.text) -> None:
    """Every decision that waits, the oldest first."""
    with clickhouse(load_settings().clickhouse) as client:
        found = waiting(client)
    if output is Output.json:
        print_rows([asdict(one) for one in found], output)
    else:
        print_rows(_lines(found), output)


@app.command()
def show(decision: Decision) -> None:
    """One decision, whole: what would be done, and why the agent wants to."""
    sys.stdout.write(json.dumps(asdict(_one(load_settings(), decision)), indent=2, default=str) + "\n")


@app.command()
def approve(
    decision: Decision,
    reason: Reason = "",
    edit: Annotated[str, typer.Option(help="JSON: do it with these parameters instead")] = "",
) -> None:
    """Let it be done, checked once more against the charter just before."""
    _answer(decision, "edit" if edit else "approve", reason, _parameters(edit))


@app.command()
def reject(decision: Decision, reason: Reason = "") -> None:
    """Let it not be done."""
    _answer(decision, "reject", reason, None)


def _answer(
    decision_id: str, verdict: Literal["approve", "reject", "edit"], reason: str, parameters: str | None
) -> None:
    settings = load_settings()
    one = _one(settings, decision_id)
    reply = ApprovalReply(
        decision_id=one.decision_id,
        subject=one.subject,
        verdict=verdict,
        payload_sha256=one.payload_sha256,
        parameters=parameters,
        person=getpass.getuser(),
        reason=reason,
        time=datetime.now(UTC),
    )
    with registered_codec(settings) as codec:
        say(settings.kafka, APPROVALS, [(one.subject, codec.encode(reply))])
    sys.stdout.write(f"{verdict}: {one.action} for {one.subject}. See `nightdesk why {one.subject}`\n")


def _one(settings: Settings, decision_id: str) -> Waiting:
    with clickhouse(settings.clickhouse) as client:
        found = waiting(client, decision_id)
    if not found:
        raise Failure(f"nothing waits under {decision_id}", "See `nightdesk approvals list`", ExitCode.NOT_FOUND)
    if len(found) > 1 or len(decision_id) < LEAST_CHARACTERS:
        raise Failure(f"{decision_id} may be one of several decisions", "Give more of the id", ExitCode.USAGE)
    return found[0]


def _parameters(edit: str) -> str | None:
    if not edit:
        return None
    try:
        found = json.loads(edit)
    except ValueError as error:
        raise Failure(f"--edit is not JSON: {error}", "Give an object of parameters", ExitCode.USAGE) from None
    if not isinstance(found, dict):
        raise Failure("--edit is no object", "Give an object of parameters", ExitCode.USAGE)
    return json.dumps(found)


def _lines(found: Sequence[Waiting]) -> list[dict[str, Any]]:
    """Rows that can be read at 80 columns; where there is one agent, everybody knows which."""
    return without_silent([_line(one) for one in found], {"agent": found[0].agent} if found else {})


def _line(one: Waiting) -> dict[str, Any]:
    return {
        "decision": one.decision_id[:SHOWN_CHARACTERS],
        "asked": one.asked_at.strftime("%m-%d %H:%M"),
        "subject": one.subject,
        "agent": one.agent,
        "wants to": f"{one.action} {json.dumps(one.parameters, ensure_ascii=False)[:80]}",
        "because": one.reason,
    }
