"""What people change through the console: who may, what is sent, and whose name is in it. On a real broker."""

from __future__ import annotations

import html
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from nightdesk.local.stack import LocalStack
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.settings import OidcSettings
from nightdesk.operations.topics import apply_topics
from nightdesk.schemas import ids
from nightdesk.schemas.approval_details import ApprovalReplyDetail, ApprovalRequestDetail, Approver, ExcludedPerson
from nightdesk.schemas.audit import ControlDetail, DecisionDetail, EventDetail
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import ApprovalReply, AuditRecord, DeadLetterEnd
from nightdesk.settings import Settings
from nightdesk.sinks.settings import ClickHouseSettings
from tests.console.server import Browser, RunningConsole, log_in, running, token_of
from tests.fakes.identity_provider import CLIENT_ID, CLIENT_SECRET, FakeProvider, providing
from tests.nightdesk.letters import DlqWriter
from tests.processors.examples import compiled
from tests.sinks.records import START, at, dead_letter, land, of_case, record

AGENT = compiled().agent
DECIDED = DecisionDetail(kind="respond", parameters='{"amount":5}', reasoning="they ask for it")


@dataclass(frozen=True, slots=True)
class Desk:
    """An installation with a console; nobody processes what is sent."""

    settings: Settings
    codec: Codec
    console: RunningConsole
    provider: FakeProvider | None = None

    @contextmanager
    def browser(self, login: str) -> Iterator[Browser]:
        """A person who has logged in at the identity provider."""
        assert self.provider is not None
        self.provider.person = {"email": login, "email_verified": True}
        with httpx2.Client(base_url=self.console.url, timeout=60) as client:
            assert log_in(self.console, client, "/ask").status_code == 303
            yield Browser(client)

    def replies(self) -> list[ApprovalReply]:
        topic = f"{self.settings.kafka.topic_prefix}approvals"
        return [self.codec.decode(ApprovalReply, one.value() or b"") for one in read_topic(self.settings.kafka, topic)]

    def audit(self, kind: str) -> list[AuditRecord]:
        topic = f"{self.settings.kafka.topic_prefix}audit"
        records = [self.codec.decode(AuditRecord, one.value() or b"") for one in read_topic(self.settings.kafka, topic)]
        return [one for one in records if one.kind == kind]


@pytest.fixture(scope="module")
def desk(stack: LocalStack, database: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    kafka = stack.settings.kafka.model_copy(
        update={"topic_prefix": f"console-{uuid.uuid4().hex[:8]}.", "partitions": 1}
    )
    settings = stack.settings.model_copy(update={"kafka": kafka, "clickhouse": database})
    apply_topics(kafka)
    register_schemas(settings)
    give_orders(settings, charter_orders([compiled().charter]))
    with registered_codec(settings) as codec, providing() as provider:
        oidc = OidcSettings(issuer=provider.issuer, client_id=CLIENT_ID, client_secret=SecretStr(CLIENT_SECRET))
        with running(settings, tmp_path_factory.mktemp("desk"), oidc=oidc) as console:
            yield Desk(settings, codec, console, provider)


def ask(
    client: Client, number: int, agent: str = "support-triage", version: str = "v1", **shown: Any
) -> tuple[str, str]:
    """A decision that waits for a person; returns its id and the address of its page."""
    case = of_case(f"evt-{number}", agent) | {"charter_version": version}
    subject = {"subject": f"ticket-{number}"}
    decision_id = ids.decision_id(case["case_id"], 0)
    detail = ApprovalRequestDetail(
        payload_sha256=f"hash-{number}",
        expires_at=at(86_400),
        parameters='{"amount":5}',
        reasoning="they ask for it",
        **shown,
    )
    asked = {"decision_id": decision_id, "action": "refund", "status": "needs_approval", **subject, **case}
    land(
        client,
        record("received", 0, EventDetail(data='{"text":"Refund!"}', time=START), **subject, **case),
        record("decided", 1, DECIDED, decision_id=decision_id, action="refund", confidence=0.95, **subject, **case),
        record("approval", 2, detail, **asked),
        first=number * 10,
    )
    return decision_id, f"/approvals/{decision_id}"


def test_an_answer_names_the_person_and_is_of_what_was_shown(desk: Desk, client: Client) -> None:
    decision_id, path = ask(client, 1)
    with desk.console.browser("ada") as ada:
        page = ada.get(path).text
        assert "hash-1" in page
        assert "Refund!" in page
        sent = ada.post(path, path, verdict="approve", payload_sha256="hash-1", reason="it is due")
        assert sent.headers["location"] == f"{path}?sent=approve"
        assert "has not recorded it yet" in ada.get(f"{path}?sent=approve").text
    [reply] = [one for one in desk.replies() if one.decision_id == decision_id]
    assert (reply.verdict, reply.person, reply.reason, reply.payload_sha256) == (
        "approve",
        "ada",
        "it is due",
        "hash-1",
    )


def test_what_a_person_does_after_a_login_names_the_login(desk: Desk, client: Client) -> None:
    decision_id, path = ask(client, 12)
    assert desk.provider is not None
    login = f"{desk.provider.issuer} 1"
    with desk.browser("otto") as otto:
        otto.post(path, path, verdict="reject", payload_sha256="hash-12", reason="no receipt")
        otto.post(f"/agents/{AGENT}/orders", "/agents", kind="pause", reason="login")
        assert f"pause by otto (claimed, login 1 at {desk.provider.issuer}): login" in otto.get(f"/agents/{AGENT}").text
        otto.post(f"/agents/{AGENT}/orders", "/agents", kind="resume")
    [reply] = [one for one in desk.replies() if one.decision_id == decision_id]
    assert (reply.person, reply.login) == ("otto", login)
    assert ControlDetail.model_validate_json(desk.audit("control")[-1].detail).login == login


def test_a_tool_of_your_own_answers_by_the_same_rules(desk: Desk, client: Client) -> None:
    decision_id, path = ask(client, 7)

    def send(person: str, **fields: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token_of(person)}"}
        return httpx2.post(f"{desk.console.url}{path}.json", data=fields, headers=headers, timeout=60)

    [card] = [one for one in desk.console.get("/approvals.json").json()["waiting"] if one["decision_id"] == decision_id]
    shown = {"payload_sha256": card["payload_sha256"]}
    assert send("vera", verdict="approve", **shown).status_code == 403
    changed = send("ada", verdict="approve", payload_sha256="hash-of-before")
    assert (changed.status_code, "has changed" in changed.json()["problem"]) == (409, True)
    sent = send("ada", verdict="reject", reason="no receipt", **shown)
    assert (sent.status_code, sent.json()["done"]) == (202, True)
    [reply] = [one for one in desk.replies() if one.decision_id == decision_id]
    assert (reply.verdict, reply.person, reply.reason) == ("reject", "ada", "no receipt")


def test_what_has_changed_or_has_no_reason_or_no_role_is_not_sent(desk: Desk, client: Client) -> None:
    decision_id, path = ask(client, 2)
    with desk.console.browser("ada") as ada, desk.console.browser("vera") as vera:
        changed = ada.post(path, path, verdict="approve", payload_sha256="hash-of-before")
        assert (changed.status_code, "has changed" in changed.text) == (409, True)
        assert ada.post(path, path, verdict="reject", payload_sha256="hash-2").status_code == 400
        assert vera.post(path, verdict="approve", payload_sha256="hash-2").status_code == 403
        assert "Approve</button>" not in vera.get(path).text
        assert ada.client.post(path, data={"verdict": "approve", "payload_sha256": "hash-2"}).status_code == 403
    assert not [one for one in desk.replies() if one.decision_id == decision_id]


def test_four_eyes_are_on_the_card_and_the_wrong_person_cannot_approve(desk: Desk, client: Client) -> None:
    approved_by = (Approver(person="ada", identity="claimed"),)
    excluded = (ExcludedPerson(person="OTTO", because="this person asked for it (requested_by)"),)
    decision_id, path = ask(client, 8, approvers=2, approved_by=approved_by, excluded=excluded)
    with desk.console.browser("ada") as ada, desk.console.browser("otto") as otto, desk.console.browser("bob") as bob:
        page = ada.get(path).text
        assert "1 of 2 persons have approved it: ada (claimed)" in page
        assert "OTTO: this person asked for it" in page
        assert 'value="approve"' not in page
        assert "1 of 2 approved" in ada.get("/approvals").text
        for browser, why in ((ada, "another person has to"), (otto, "this person asked for it")):
            refused = browser.post(path, path, verdict="approve", payload_sha256="hash-8")
            assert (refused.status_code, why in refused.text) == (403, True)
        assert not [one for one in desk.replies() if one.decision_id == decision_id]
        agreed = ApprovalReplyDetail(verdict="agree", person="ada", counts=True, identity="claimed")
        about = {"subject": "ticket-8", "decision_id": decision_id, "status": "needs_approval", **of_case("evt-8")}
        land(client, record("approval", 1, agreed, **about), first=86)
        sent = bob.post(path, path, verdict="approve", payload_sha256="hash-8")
        page = bob.get(sent.headers["location"]).text
        assert ("has not recorded it yet" in page, '<form class="answer"' in page) == (True, False)
        rejected = ada.post(path, path, verdict="reject", reason="I was wrong", payload_sha256="hash-8")
        assert rejected.status_code == 303
    assert [(one.person, one.verdict) for one in desk.replies() if one.decision_id == decision_id] == [
        ("bob", "approve"),
        ("ada", "reject"),
    ]


def test_an_edit_is_sent_as_written_and_not_if_the_gates_refuse_it(desk: Desk, client: Client) -> None:
    decision_id, path = ask(client, 4, AGENT, compiled().version)
    with desk.console.browser("ada") as ada:

        def send(verdict: str, parameters: str) -> httpx2.Response:
            return ada.post(path, path, verdict=verdict, payload_sha256="hash-4", parameters=parameters)

        for parameters, why in (('{"amount": 500}', "no refund over 100"), ("{", "JSON"), ('{"sum": 1}', "amount")):
            refused = send("edit", parameters)
            assert (refused.status_code, why in refused.text) == (400, True), refused.text
            assert html.escape(parameters, quote=False) in html.unescape(refused.text).replace("&quot;", '"')
        assert "You changed the parameters" in send("approve", '{"amount": 3}').text
        assert not [one for one in desk.replies() if one.decision_id == decision_id]
        assert send("edit", '{"amount": 3}').headers["location"] == f"{path}?sent=edit"
    [reply] = [one for one in desk.replies() if one.decision_id == decision_id]
    assert (reply.verdict, reply.parameters) == ("edit", '{"amount": 3}')


def test_the_gates_say_what_they_would_to_another_amount(desk: Desk, client: Client) -> None:
    decision_id, _ = ask(client, 5, AGENT, compiled().version)
    for amount, disposition in ((500, "refused"), (40, "needs_approval")):
        asked = desk.console.get(f"/what-if/{decision_id}.json?parameters=" + quote(f'{{"amount": {amount}}}')).json()
        assert asked["found"]["result"]["disposition"] == disposition
    assert "no refund over 100" in desk.console.get(f"/what-if/{decision_id}?parameters=%7B%22amount%22:500%7D").text
    assert desk.console.get(f"/what-if/{decision_id}", "nele").status_code == 404
    assert not [one for one in desk.replies() if one.decision_id == decision_id], "nothing was sent"


def test_a_decision_that_nobody_answered_can_be_asked_again(desk: Desk, client: Client) -> None:
    decision_id, path = ask(client, 6)
    about = {"decision_id": decision_id, "action": "refund", "subject": "ticket-6", **of_case("evt-6")}
    expired = ApprovalReplyDetail(verdict="expire", person="", counts=True)
    letter = dead_letter(5, detail={"error": "NobodyAnswered", "dead_letter_id": "dl-6"}, **about)
    land(client, record("approval", 4, expired, status="running", **about), letter, first=65)
    with desk.console.browser("otto") as otto, desk.console.browser("ada") as ada:
        page = otto.get(path).text
        assert 'name="ids" value="dl-6"' in page
        assert "Ask again" in page
        assert "Nobody answered in time" in ada.get(path).text
        assert "Ask again" not in ada.get(path).text


def test_of_two_people_the_second_is_told(desk: Desk, client: Client) -> None:
    decision_id, path = ask(client, 3)
    case = {"decision_id": decision_id, "action": "refund", "subject": "ticket-3", **of_case("evt-3")}
    first = ApprovalReplyDetail(verdict="approve", person="bob", counts=True, identity="claimed")
    with desk.console.browser("ada") as ada:
        csrf = ada.csrf(path)
        land(client, record("approval", 3, first, **case, status="running"), first=35)
        late = ada.client.post(path, data={"csrf": csrf, "verdict": "approve", "payload_sha256": "hash-3"})
        assert late.status_code == 409
        assert "does not wait any more" in late.text
        assert "approve by bob (claimed)" in " ".join(late.text.split())
        # And when both were sent in the same moment:
        void = ApprovalReplyDetail(verdict="approve", person="ada", counts=False)
        about = {
            "subject": "ticket-3",
            "event_id": "",
            "event_source": "",
            "event_type": "",
            "decision_id": decision_id,
        }
        land(client, record("approval", 4, void, status="ignored", reason="it is answered", **about), first=36)
        assert "does not count</b>: it is answered" in ada.get(f"{path}?sent=approve").text
    assert not [one for one in desk.replies() if one.decision_id == decision_id]


def test_an_agent_is_paused_and_resumed_in_the_persons_name(desk: Desk) -> None:
    path = f"/agents/{AGENT}"
    with desk.console.browser("otto") as otto, desk.console.browser("ada") as ada:
        assert ada.post(f"{path}/orders", kind="pause").status_code == 403
        assert otto.post(f"{path}/orders", path, kind="pause", reason="stocktaking").headers["location"] == path
        assert "pause by otto (claimed): stocktaking" in otto.get(path).text
        otto.post(f"{path}/orders", path, kind="resume")
        assert "stocktaking" not in otto.get(path).text
        assert otto.post("/agents", "/agents", kind="stop_all").status_code == 400, "the box is not ticked"
        otto.post("/agents", "/agents", kind="stop_all", sure="yes", reason="fire")
        assert "stop_all by otto (claimed): fire" in otto.get("/agents").text
        otto.post("/agents", "/agents", kind="resume", sure="yes")
        assert otto.post("/agents/*/orders", path, kind="pause").status_code == 400
    with desk.console.browser("nele") as nele:
        assert nele.post("/agents", kind="stop_all", sure="yes").status_code == 403
        assert nele.get(path).status_code == 404
    assert [one.status for one in desk.audit("control")]
    assert all('"issued_by":"otto"' in one.detail for one in desk.audit("control"))


def test_an_agent_shows_its_charter_and_its_money(desk: Desk) -> None:
    give_orders(desk.settings, charter_orders([compiled().charter]))  # a version that is applied again is one version
    view = desk.console.get(f"/agents/{AGENT}.json").json()
    assert view["row"]["version"] == compiled().version
    assert f"agent: {AGENT}" in view["charter"]
    assert [one["version"] for one in view["versions"]] == [compiled().version]
    assert view["row"]["gauges"][0]["per_day_microusd"] == compiled().charter.budget.per_day_microusd


def test_letters_are_resolved_after_a_dry_run(desk: Desk) -> None:
    send_to_dlq = DlqWriter(desk.settings, desk.codec)
    kept, replayed, discarded = (send_to_dlq.event(number) for number in (7, 2, 3))
    with desk.console.browser("otto") as otto, desk.console.browser("ada") as ada:
        [group] = ada.client.get("/dead-letters.json").json()["groups"]
        assert group["count"] == 3
        assert ada.post("/dead-letters", verdict="replayed", ids=replayed, sure="yes").status_code == 403
        dry = otto.post("/dead-letters", verdict="replayed", ids=replayed)
        assert "1 would be replayed" in dry.text
        assert otto.post("/dead-letters", verdict="discarded", ids=discarded).status_code == 400
        assert not desk.audit("replayed")
        done = otto.post("/dead-letters", verdict="replayed", ids=replayed, sure="yes")
        assert problem_of(otto, done) == ""
        discarding = otto.post("/dead-letters", verdict="discarded", ids=discarded, reason="a test", sure="yes")
        assert problem_of(otto, discarding) == ""
        [left] = otto.client.get("/dead-letters.json").json()["groups"]
        assert [letter["dead_letter_id"] for letter in left["letters"]] == [kept]
        page = otto.get(f"/dead-letters/{kept}").text
        assert "evt-7" in page
        assert "the other side hung up\\x1b[2J" in page
    for kind in ("replayed", "discarded"):
        [one] = desk.audit(kind)
        assert '"person":"otto"' in one.detail


def test_a_filter_with_a_name_replays_what_its_dry_run_showed_and_nothing_else(desk: Desk) -> None:
    send_to_dlq = DlqWriter(desk.settings, desk.codec, minutes=100)  # the ids of letters follow from it
    first = send_to_dlq.event(14)
    before = len(desk.audit("replayed"))
    with desk.console.browser("otto") as otto:
        [group] = otto.client.get("/dead-letters.json").json()["groups"]
        filter_ = {name: group[name] for name in ("stage", "topic", "error", "cause")}
        asked = {"verdict": "replayed", **filter_}
        count = group["count"]
        assert f"{count} match the filter" in otto.client.get("/dead-letters", params=filter_).text
        assert "0 match" not in otto.client.get("/dead-letters", params={"stage": "act"}).text
        assert otto.post("/dead-letters", **asked).status_code == 400, "it has no name"
        named = {**asked, "filter_name": "registry was away", "reason": "it is back"}
        assert otto.post("/dead-letters", **named, sure="yes").status_code == 400, "nobody has seen what it is about"
        dry = otto.post("/dead-letters", **named).text
        assert f"{count} would be replayed" in dry
        assert first[:8] in dry
        expected = html.unescape(dry.split('name="expected" value="')[1].split('"')[0])
        assert len(desk.audit("replayed")) == before
        send_to_dlq.event(15)  # which nobody has seen
        changed = otto.post("/dead-letters", **named, sure="yes", expected=expected)
        assert problem_of(otto, changed) == "other letters match than in the dry run"
        assert "other letters match than in the dry run" in otto.get(changed.headers["location"]).text
        assert len(desk.audit("replayed")) == before
        until = {**named, "until": desk_time()}
        dry = otto.post("/dead-letters", **until).text
        expected = html.unescape(dry.split('name="expected" value="')[1].split('"')[0])
        done = otto.post("/dead-letters", **until, sure="yes", expected=expected)
        assert problem_of(otto, done) == ""
        assert otto.client.get("/dead-letters.json").json()["groups"] == []
        assert otto.get("/dead-letters/runs/unknown").status_code == 404
    replayed = desk.audit("replayed")[before:]
    assert len(replayed) == count + 1
    ends = [DeadLetterEnd.model_validate_json(one.detail) for one in replayed]
    assert {(end.person, end.filter_name) for end in ends} == {("otto", "registry was away")}
    assert replayed[0].reason == "by otto (claimed), filter registry was away: it is back"


def problem_of(browser: Browser, sent: httpx2.Response) -> str:
    """Why an order about dead letters was not carried out, or nothing; waits for one that runs in the background."""
    page = sent.headers["location"]
    if "?done=" in page:
        return ""
    while not (run := browser.client.get(f"{page}.json").json())["is_over"]:
        time.sleep(0.1)
    return str(run["problem"] or ("" if run["done"] == run["total"] > 0 else run))


def desk_time() -> str:
    """A moment that is still to come."""
    return (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")


def test_a_known_version_of_a_charter_is_put_in_force_again(desk: Desk) -> None:
    dry = compiled(("mode: live", "mode: dry_run"))
    give_orders(desk.settings, charter_orders([dry.charter]))
    path, version = f"/agents/{AGENT}", compiled().version
    with desk.console.browser("otto") as otto, desk.console.browser("ada") as ada:
        assert otto.client.get(f"{path}.json").json()["row"]["version"] == dry.version
        assert ada.post(f"{path}/charter", version=version).status_code == 403
        assert otto.post(f"{path}/charter", path, version="unknown").status_code == 404
        page = otto.get(path).text
        assert f'name="version" value="{version}"' in page
        assert f'name="version" value="{dry.version}"' not in page
        assert otto.post(f"{path}/charter", path, version=version, reason="too careful").headers["location"] == path
        view = otto.client.get(f"{path}.json").json()
        assert (view["row"]["version"], view["row"]["mode"]) == (version, "live")
    [order] = [one for one in desk.audit("control") if "too careful" in one.reason]
    assert '"issued_by":"otto"' in order.detail
