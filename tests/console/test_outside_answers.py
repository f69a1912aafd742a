"""Approvals that are answered from Slack or by a signed webhook: the rules of the page, and nobody else's name."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from clickhouse_connect.driver.client import Client

from nightdesk.console.settings import ConsoleSettings
from nightdesk.console.slack import only_to_the_person
from nightdesk.effects.channels.addresses import RouteAddress
from nightdesk.effects.channels.slack import slack_body
from nightdesk.local.stack import LocalStack
from nightdesk.messaging.failures import Failure
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.slack_responses import respond
from nightdesk.operations.topics import apply_topics
from nightdesk.processors.notifications import Message
from nightdesk.processors.notifications.cards import ApprovalCard
from nightdesk.schemas.approval_details import ApprovalReplyDetail
from nightdesk.schemas.records import ApprovalReply
from nightdesk.sinks.settings import ClickHouseSettings
from tests.console.server import running
from tests.console.test_changes import Desk, ask
from tests.fakes.slack import SECRET, TEAM, Slack, signed, slack_server
from tests.secret_leaks import ENVIRONMENT
from tests.sinks.records import at, land, of_case, record

WEBHOOK_SECRET = ENVIRONMENT["NIGHTDESK_CONSOLE__WEBHOOK_SECRET"]
PERSONS = [
    {"person": "ada", "role": "approver", "slack": f"{TEAM}/UADA", "webhook": "ada@example.com"},
    {"person": "vera", "role": "viewer", "slack": f"{TEAM}/UVERA"},
    {"person": "nele", "role": "operator", "slack": f"{TEAM}/UNELE", "agents": ["nightly"]},
]
ADDRESS = RouteAddress("ops", "slack", "https://hooks.slack.com/services/x", buttons=True)


@dataclass(frozen=True, slots=True)
class Outside:
    """A desk whose console takes answers from a Slack."""

    desk: Desk
    slack: Slack

    def replies(self, decision_id: str) -> list[ApprovalReply]:
        return [one for one in self.desk.replies() if one.decision_id == decision_id]

    def press(self, user: str, label: str) -> httpx2.Response:
        return self.slack.press(self.desk.console.url, user, label)


@pytest.fixture(scope="module")
def outside(
    stack: LocalStack, database: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outside]:
    prefix = f"outside-{uuid.uuid4().hex[:8]}."
    kafka = stack.settings.kafka.model_copy(update={"topic_prefix": prefix, "partitions": 1})
    settings = stack.settings.model_copy(update={"kafka": kafka, "clickhouse": database})
    apply_topics(kafka)
    register_schemas(settings)
    file = tmp_path_factory.mktemp("outside") / "tokens.yaml"
    file.write_text(yaml.safe_dump({"persons": PERSONS}))
    with registered_codec(settings) as codec, slack_server() as slack:
        more: dict[str, Any] = {
            "slack": {"signing_secret": SECRET, "responses": slack.url},
            "webhook_secret": WEBHOOK_SECRET,
        }
        with running(settings, file.parent, file, **more) as console:
            yield Outside(Desk(settings, codec, console), slack)


def card(decision_id: str, number: int, **changes: Any) -> ApprovalCard:
    given = {"decision_id": decision_id, "subject": f"ticket-{number}", "agent": "support-triage", "action": "refund"}
    shown = {"payload_sha256": f"hash-{number}", "expires_at": at(86_400), "parameters": '{"amount":5}'}
    return ApprovalCard.model_validate({**given, **shown, **changes})


def told(slack: Slack, *cards: ApprovalCard) -> None:
    """Slack has the message of these cards, and nothing else."""
    slack.told.clear()
    now = datetime.now(UTC)
    slack.post(
        slack_body(Message("m", "ops", "approval", "warning", "<wait>", ("one",), 1, now, now, False, cards), ADDRESS)
    )


def answered(client: Client, number: int, person: str, verdict: Any = "approve", **fields: Any) -> None:
    """The act stage recorded an answer, or said that it does not count."""
    counts = fields.pop("counts", True)
    detail = ApprovalReplyDetail(verdict=verdict, person=person, counts=counts, identity="claimed" if counts else None)
    case = of_case(f"evt-{number}") if counts else {"case_id": None}
    about = {"subject": f"ticket-{number}", "action": "refund", "status": "running" if counts else "ignored"}
    land(client, record("approval", 9, detail, **{**about, **case, **fields}), first=number * 10 + 5)


def records_it(outside: Outside, client: Client, decision_id: str, number: int, **fields: Any) -> threading.Thread:
    """A stage that records the next answer to the decision."""

    def run() -> None:
        while not outside.replies(decision_id):
            time.sleep(0.1)
        answered(client, number, "ada", decision_id=decision_id, **fields)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_button_answers_in_the_persons_name_and_the_message_says_how_it_ended(
    outside: Outside, client: Client
) -> None:
    decision_id, _ = ask(client, 31)
    told(outside.slack, card("another", 32), card(decision_id, 31))
    stage = records_it(outside, client, decision_id, 31)
    assert outside.press("UADA", "Approve").status_code == 200
    stage.join()
    [reply] = outside.replies(decision_id)
    assert (reply.verdict, reply.person, reply.payload_sha256) == ("approve", "ada", "hash-31")
    left = [block.get("block_id") for block in outside.slack.blocks if block["type"] == "actions"]
    assert (left, outside.slack.told, outside.slack.wrong) == (["approval:another"], [], [])
    assert outside.slack.blocks[-1]["text"]["text"] == "approve by ada (claimed)"
    told(outside.slack, card(decision_id, 31))
    outside.press("UADA", "Reject")
    assert outside.slack.blocks[-1]["text"]["text"] == "The decision does not wait any more: approve by ada (claimed)"
    assert len(outside.replies(decision_id)) == 1


def test_an_answer_that_does_not_count_is_said_to_the_person(outside: Outside, client: Client) -> None:
    decision_id, _ = ask(client, 33)
    told(outside.slack, card(decision_id, 33))
    stage = records_it(outside, client, decision_id, 33, counts=False, reason="it came too late")
    outside.press("UADA", "Reject")
    stage.join()
    assert outside.slack.told == ["Your answer does not count: it came too late"]
    assert "Reject" in outside.slack.buttons()
    assert [one.reason for one in outside.replies(decision_id)] == ["rejected in Slack"]


def test_who_may_not_and_what_has_changed_is_not_sent(outside: Outside, client: Client) -> None:
    decision_id, _ = ask(client, 34)
    for user, number, words in (
        ("UVERA", 34, "needs the role approver"),
        ("UNELE", 34, "does not wait any more"),
        ("UNOBODY", 34, "does not know you (slack:T0001/UNOBODY)"),
        ("UADA", 99, "What is shown has changed"),
    ):
        told(outside.slack, card(decision_id, 34, payload_sha256=f"hash-{number}"))
        assert outside.press(user, "Approve").status_code == 200
        [said] = outside.slack.told
        assert words in said
    assert not outside.replies(decision_id)


def test_what_is_not_signed_or_came_before_is_refused(outside: Outside, client: Client) -> None:
    decision_id, _ = ask(client, 35)
    told(outside.slack, card(decision_id, 35))
    url, body = f"{outside.desk.console.url}/answers/slack", outside.slack.payload("UNOBODY", "Approve")

    def send(content: bytes, headers: dict[str, str]) -> int:
        return httpx2.post(url, content=content, headers=headers).status_code

    assert send(body, signed(body, "another secret")) == 403
    assert send(body, signed(body, at=time.time() - 301)) == 403
    assert send(body.replace(b"UNOBODY", b"UADA"), signed(body)) == 403
    assert send(body, {}) == 403
    once = signed(body)
    assert [send(body, once), send(body, once)] == [200, 403]
    other = b"payload=%7B%7D"
    assert send(other, signed(other)) == 400
    assert not outside.replies(decision_id)


def test_what_became_of_it_goes_to_slack_alone(outside: Outside) -> None:
    """The address came with the request: it must not make the console call another host."""
    message = only_to_the_person("text")
    with slack_server() as elsewhere:
        for address in (f"{elsewhere.url}/actions/T/1/a", f"{outside.slack.url}.evil/actions/T", outside.slack.url):
            with pytest.raises(Failure, match="not an address of Slack"):
                respond(address, outside.slack.url, message)
        respond(f"{elsewhere.url}/actions/T/1/a", elsewhere.url, message)
        assert elsewhere.told == ["text"]


def test_parameters_that_are_too_long_to_be_shown_cannot_be_approved_there(outside: Outside) -> None:
    told(outside.slack, card("long", 37, parameters=None))
    assert list(outside.slack.buttons()) == ["Reject"]


def webhook(outside: Outside, secret: str = WEBHOOK_SECRET, **fields: Any) -> httpx2.Response:
    body = json.dumps(fields).encode()
    id_, now = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.new(key, f"{id_}.{now}.".encode() + body, sha256).digest()).decode()
    headers = {"webhook-id": id_, "webhook-timestamp": now, "webhook-signature": f"v1,{digest}"}
    return httpx2.post(f"{outside.desk.console.url}/answers/webhook", content=body, headers=headers, timeout=60)


def test_a_signed_webhook_answers_by_the_same_rules(outside: Outside, client: Client) -> None:
    decision_id, path = ask(client, 38)
    given: dict[str, Any] = {
        "decision_id": decision_id,
        "person": "ada@example.com",
        "verdict": "reject",
        "payload_sha256": "hash-38",
    }
    assert webhook(outside, WEBHOOK_SECRET[:-8] + "AAAAAAA=", **given).status_code == 403
    assert webhook(outside, **{**given, "person": "ada"}).status_code == 403
    assert webhook(outside, **{**given, "more": 1}).status_code == 400
    no_reason = webhook(outside, **given)
    assert (no_reason.status_code, no_reason.json()["done"]) == (400, False)
    stale = webhook(outside, **{**given, "reason": "no receipt", "payload_sha256": "of before"})
    assert (stale.status_code, "has changed" in stale.json()["problem"]) == (409, True)
    assert not outside.replies(decision_id)
    sent = webhook(outside, **given, reason="no receipt")
    assert (sent.status_code, sent.json()["person"], path in sent.json()["page"]) == (202, "ada", True)
    assert [(one.person, one.reason) for one in outside.replies(decision_id)] == [("ada", "no receipt")]


def test_without_a_secret_nothing_is_taken(outside: Outside, tmp_path: Path) -> None:
    with running(outside.desk.settings, tmp_path) as console:
        for kind in ("slack", "webhook"):
            assert httpx2.post(f"{console.url}/answers/{kind}", content=b"x").status_code == 404
    with pytest.raises(Failure, match="no token file says which persons give them"):
        ConsoleSettings.model_validate({"slack": {"signing_secret": SECRET}}).check()
    with pytest.raises(Failure, match="fewer than 24 bytes"):
        ConsoleSettings.model_validate({"webhook_secret": "whsec_c2hvcnQ=", "token_file": tmp_path}).check()
