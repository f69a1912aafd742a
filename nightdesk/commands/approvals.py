"""`nightdesk approvals list|show|approve|reject`: decisions that wait for a person, and the person's answers.

JSON contract: `list` prints a list of {decision_id, case_id, subject, agent, action, parameters, reasoning, confidence,
reason, asked_at, expires_at, payload_sha256, approvers, approved_by, excluded, nobody_because, others, open_cases,
newer_events}, `show` one of those. Exit code 3 if nothing waits under that id, 2 if `approve` needs `--seen` or another
person.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from nightdesk.operations.approvals import (
    ApprovalAnswer,
    answer,
    check_seen,
    edited_parameters,
    waiting_decision,
    waiting_decisions,
)
from nightdesk.operations.persons import Person
from nightdesk.output import Output, OutputOption, print_json, print_line, print_rows, without_silent
from nightdesk.schemas.persons import shown_person
from nightdesk.settings import load_settings
from nightdesk.sinks.approvals import Waiting

# The number of characters of a decision's id in `list`.
SHOWN_CHARACTERS = 13

app = typer.Typer(help="List, show and answer decisions that wait for a person.", no_args_is_help=True)

Decision = Annotated[str, typer.Argument(help="the decision's id, or its beginning", metavar="DECISION")]
Reason = Annotated[str, typer.Option(help="recorded in the audit")]


@app.callback()
def root() -> None:
    """List, show and answer decisions that wait for a person."""


@app.command("list")
def list_waiting(output: OutputOption = Output.text) -> None:
    """List every decision that waits, the oldest first."""
    found = waiting_decisions(load_settings())
    if output is Output.json:
        print_rows([asdict(one) for one in found], output)
    else:
        print_rows(_lines(found), output)


@app.command()
def show(decision: Decision) -> None:
    """Show one decision in full: what would be executed, and why the agent wants it."""
    print_json(asdict(waiting_decision(load_settings(), decision)))


@app.command()
def approve(
    decision: Decision,
    reason: Reason = "",
    edit: Annotated[str, typer.Option(help="JSON: execute it with these parameters instead")] = "",
    seen: Annotated[
        bool, typer.Option("--seen", help="you have seen the subject's other decisions and events")
    ] = False,
) -> None:
    """Approve a decision. It is checked against the charter once more before it is executed."""
    given = ApprovalAnswer("edit", reason, edited_parameters(edit)) if edit else ApprovalAnswer("approve", reason)
    _answer(decision, given, seen=seen)


@app.command()
def reject(decision: Decision, reason: Reason = "") -> None:
    """Reject a decision."""
    _answer(decision, ApprovalAnswer("reject", reason), seen=True)


def _answer(decision_id: str, given: ApprovalAnswer, *, seen: bool) -> None:
    settings = load_settings()
    one = waiting_decision(settings, decision_id)
    if not seen:
        check_seen(one)
    reply = answer(settings, one, given, Person.of(settings.person))
    who = shown_person(reply.person, "verified" if reply.signature else "claimed")
    left = one.approvers - 1 - (0 if given.parameters else len(one.approved_by))
    also = f" {left} more have to approve it." if given.verdict != "reject" and left > 0 else ""
    print_line(f"{given.verdict} by {who}: {one.action} for {one.subject}.{also} See `nightdesk why {one.subject}`")


def _lines(found: Sequence[Waiting]) -> list[dict[str, Any]]:
    """Rows that fit 80 columns, without columns that are empty."""
    silent = {"agent": found[0].agent, "four eyes": "", "see also": ""} if found else {}
    return without_silent([_line(one) for one in found], silent)


def _line(one: Waiting) -> dict[str, Any]:
    return {
        "decision": one.decision_id[:SHOWN_CHARACTERS],
        "asked": one.asked_at.strftime("%m-%d %H:%M"),
        "subject": one.subject,
        "agent": one.agent,
        "wants to": f"{one.action} {json.dumps(one.parameters, ensure_ascii=False)[:80]}",
        "four eyes": _four_eyes(one),
        "see also": _see_also(one),
        "because": one.reason,
    }


def _four_eyes(one: Waiting) -> str:
    """How many persons have approved it, of how many, and who may not; empty if any one person may."""
    if one.nobody_because:
        return f"nobody may: {one.nobody_because}"
    approved = ", ".join(shown_person(other.person, other.identity) for other in one.approved_by)
    counted = f"{len(one.approved_by)} of {one.approvers}" if one.approvers > 1 else ""
    not_by = ", ".join(sorted({other.person for other in one.excluded}))
    parts = (counted + (f": {approved}" if approved else ""), f"not by {not_by}" if not_by else "")
    return "; ".join(part for part in parts if part)


def _see_also(one: Waiting) -> str:
    """A short text about other decisions, cases and events of the subject."""
    others, cases, events = len(one.others), len(one.open_cases), len(one.newer_events)
    counts = {f"{others} {one.action}": others, f"{cases} open": cases, f"{events} newer": events}
    return ", ".join(text for text, count in counts.items() if count)
