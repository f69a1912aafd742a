"""Answers to approvals that come from elsewhere: a button in Slack, or a signed webhook. The same rules as on the page
apply. The signature proves which system sends the answer, and the token file says which person is meant. There is no
session of a browser.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, BackgroundTasks, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from nightdesk.console import slack
from nightdesk.console.answering import Given, NotSent, Verdict, send_answer
from nightdesk.console.ascii_json import AsciiJson
from nightdesk.console.frame import Console, console_of
from nightdesk.console.limits import TooMany
from nightdesk.console.signatures import NotSigned, check_slack, check_webhook
from nightdesk.console.visitors import Forbidden, Visitor
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import plain
from nightdesk.operations.approvals import check_seen, given_answers, waiting_decision
from nightdesk.operations.slack_responses import respond
from nightdesk.schemas.persons import shown_person

log = logging.getLogger(__name__)
router = APIRouter()

BODY_BYTES_AT_MOST = 1_000_000
# How long we wait for the act stage to record an answer before we tell Slack the result.
RECORDED_WITHIN_S = 20.0
ASK_AGAIN_S = 0.5
NOBODYS = ("expire", "reconsider")
UNKNOWN_PERSON = "nobody in the token file has this name"


class WebhookAnswer(BaseModel):
    """The body of a signed webhook."""

    model_config = ConfigDict(extra="forbid")

    decision_id: str = Field(max_length=200)
    person: str = Field(max_length=200)
    verdict: Verdict
    payload_sha256: str = Field(max_length=200)
    newer_events: int = 0
    reason: str = ""
    parameters: str = ""


async def raw_body(request: Request) -> bytes:
    """The bytes of the body as they came: the signature is over them. Raises `Failure` for too many."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_AT_MOST:
            raise Failure("the body is too large", "", FailureKind.INVALID)
    return body


RawBody = Annotated[bytes, Depends(raw_body)]


@router.post("/answers/slack")
def of_slack(request: Request, body: RawBody, later: BackgroundTasks) -> Response:
    """A button was pressed. Slack wants an answer within three seconds, so the rest happens after it."""
    console = console_of(request)
    secret = _secret(console.settings.slack.signing_secret, "NIGHTDESK_CONSOLE__SLACK__SIGNING_SECRET")
    _check(console, lambda now_s: check_slack(secret, request.headers, body, now_s))
    try:
        [payload] = parse_qs(body.decode(), strict_parsing=True)["payload"]
        interaction = slack.Interaction.model_validate_json(payload)
    except (ValueError, KeyError, ValidationError):
        raise Failure("this is no press of a button of ours", "", FailureKind.INVALID) from None
    later.add_task(_answer_slack, console, interaction)
    return Response(status_code=HTTPStatus.OK)


@router.post("/answers/webhook")
def of_webhook(request: Request, body: RawBody) -> Response:
    """An answer in the name of a person whom the token file knows by the sender's name."""
    console = console_of(request)
    secret = _secret(console.settings.webhook_secret, "NIGHTDESK_CONSOLE__WEBHOOK_SECRET")
    _check(console, lambda now_s: check_webhook(secret, request.headers, body, now_s))
    try:
        asked = WebhookAnswer.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Failure(f"{where}: {first['msg']}", "See docs/how-to/approvals.md", FailureKind.INVALID) from None
    visitor = console.visitors.outside.get(f"webhook:{asked.person}")
    if visitor is None:
        raise Forbidden(UNKNOWN_PERSON)
    given = Given(asked.verdict, asked.payload_sha256, asked.newer_events, asked.reason, asked.parameters)
    try:
        send_answer(console.installation, visitor, asked.decision_id, given)
    except NotSent as unsent:
        return AsciiJson({"done": False, "problem": unsent.problem}, unsent.status)
    page = f"{console.settings.address}/approvals/{asked.decision_id}"
    return AsciiJson({"done": True, "person": visitor.name, "page": page}, HTTPStatus.ACCEPTED)


def _answer_slack(console: Console, interaction: slack.Interaction) -> None:
    """Send the answer, and tell Slack the result. Raises nothing, because Slack's request was answered before."""
    try:
        message = _answered(console, interaction)
    except NotSent as unsent:
        message = slack.only_to_the_person(f"{unsent.problem}. {_page(console, interaction)}")
    except (Forbidden, TooMany) as error:
        message = slack.only_to_the_person(str(error))
    except Failure as failure:
        message = slack.only_to_the_person(f"{failure.message}. {failure.remedy}. {_page(console, interaction)}")
    try:
        respond(interaction.response_url, console.settings.slack.responses, message)
    except Failure as failure:
        log.error("Slack cannot be told the result of an answer: %s", failure.message)


def _answered(console: Console, interaction: slack.Interaction) -> dict[str, object]:
    visitor = console.visitors.outside.get(interaction.person)
    if visitor is None:
        raise Forbidden(
            f"the console does not know you ({interaction.person}): ask the person who maintains the token file"
        )
    console.changes.take(visitor.name)
    verdict: Literal["approve", "reject"] = (
        "approve" if interaction.pressed.action_id == "nightdesk_approve" else "reject"
    )
    button, reason = interaction.pressed.value, "rejected in Slack" if verdict == "reject" else ""
    before = len(given_answers(console.installation, button.decision))
    try:
        if verdict == "approve":
            check_seen(waiting_decision(console.installation, button.decision))
        send_answer(console.installation, visitor, button.decision, Given(verdict, button.payload_sha256, 0, reason))
    except (NotSent, Failure):
        if (ended := _how_it_ended(console, button.decision)) is not None:
            return slack.decided(interaction, ended)
        raise
    return _recorded(console, visitor, interaction, before)


def _recorded(console: Console, visitor: Visitor, interaction: slack.Interaction, before: int) -> dict[str, object]:
    """The message for Slack: that the answer counts, or why it does not, as the act stage recorded it."""
    decision_id, until = interaction.pressed.value.decision, time.monotonic() + RECORDED_WITHIN_S
    while time.monotonic() < until:
        for given in given_answers(console.installation, decision_id)[before:]:
            if given.person != visitor.name:
                continue
            if not given.counts:
                return slack.only_to_the_person(f"Your answer does not count: {given.why}")
            who = shown_person(given.person, given.identity or "claimed", given.login)
            if given.verdict == "agree":
                return slack.only_to_the_person(f"Approved by {who}. {given.why}")
            return slack.decided(interaction, f"{given.verdict} by {who}")
        time.sleep(ASK_AGAIN_S)
    return slack.only_to_the_person(f"Your answer is sent, and not recorded yet. {_page(console, interaction)}")


def _how_it_ended(console: Console, decision_id: str) -> str | None:
    """The answer that ended the decision, as text; None if there is none."""
    ends = [one for one in given_answers(console.installation, decision_id) if one.counts and one.verdict != "agree"]
    if not ends:
        return None
    last = ends[-1]
    who = shown_person(last.person, last.identity or "claimed", last.login)
    return f"The decision does not wait any more: {last.verdict}" + ("" if last.verdict in NOBODYS else f" by {who}")


def _page(console: Console, interaction: slack.Interaction) -> str:
    return f"{console.settings.address}/approvals/{interaction.pressed.value.decision}"


def _secret(secret: SecretStr | None, variable: str) -> str:
    if secret is None:
        raise Failure("no such answers are taken here", f"Set {variable}", FailureKind.NOT_FOUND)
    return plain(secret)


def _check(console: Console, signature: Callable[[float], str]) -> None:
    """Raises `Forbidden` unless the request is signed, recent, and came once."""
    now_s = time.time()
    try:
        console.seen_signatures.check(signature(now_s), now_s)
    except NotSigned as error:
        raise Forbidden(f"the request is refused: {error}") from None
