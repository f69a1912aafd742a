"""Pages that need only the audit in a real browser: wide and narrow, light and dark, by keyboard, and live.

The pages that need a broker are in tests/pipeline, with the approval that is executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client
from playwright.sync_api import Browser, expect

from nightdesk.schemas.approval_details import ApprovalRequestDetail, ExcludedPerson
from nightdesk.schemas.audit import DecisionDetail
from tests.console.browser import browsing, screen
from tests.console.server import RunningConsole
from tests.sinks.records import acted, decided, land, of_case, outcome, record

CASE = of_case("evt-1")["case_id"]
DECIDED = DecisionDetail(kind="respond", parameters='{"amount":5}', reasoning="they ask for it")
PATHS = ("/tonight", "/cases", f"/cases/{CASE}", "/subjects?id=ticket-1", "/login")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture(autouse=True, scope="module")
def landed(client: Client) -> None:
    now = datetime.now(UTC)
    records = (
        record("received", 0, reason="it came", **of_case("evt-1")),
        decided(1),
        acted(
            2, "failed", outcomes=(outcome(0), outcome(1, "failed", error="503"), outcome(0, "undone")), reason="503"
        ),
    )
    land(client, *(one.model_copy(update={"time": now, "case_at": now}) for one in records))
    waits = ApprovalRequestDetail(
        payload_sha256="5f" * 32,
        expires_at=now + timedelta(days=3),
        parameters='{"amount":5}',
        reasoning="they ask for it",
        approvers=2,
        excluded=(ExcludedPerson(person="ada", because="this person asked for it (requested_by)"),),
    )
    for number in (7, 8):
        case = of_case(f"evt-{number}") | {"subject": "ticket-7", "case_at": now}
        decision = {"decision_id": f"decision-{number}", "action": "refund", "status": "needs_approval"}
        land(
            client,
            record("received", 0, time=now, **case),
            record("decided", 1, DECIDED, time=now, confidence=0.95, **{**decision, "status": "running"}, **case),
            record("approval", 2, waits, time=now, reason="refund always needs approval", **decision, **case),
            first=10 * number,
        )


def test_every_page_fits_and_keeps_nobody_out(browser: Browser, console: RunningConsole) -> None:
    with screen(browser, console) as window:
        for path in PATHS:
            window.check_page(path)


def test_who_may_not_approve_is_told_so_beside_the_other_open_cases(browser: Browser, console: RunningConsole) -> None:
    with screen(browser, console, "ada") as window:
        window.check_page("/approvals/decision-7")
        expect(window.page.get_by_text("ada may not approve it")).to_be_visible()
        expect(window.page.get_by_role("heading", name="Other open cases of ticket-7")).to_be_visible()


def test_a_case_is_found_and_read_by_keyboard(browser: Browser, console: RunningConsole) -> None:
    with screen(browser, console) as window:
        page = window.page
        page.keyboard.press("g")
        page.keyboard.press("c")
        page.wait_for_url("**/cases")
        page.keyboard.press("/")
        page.keyboard.type("ticket-1")
        page.keyboard.press("Enter")
        page.wait_for_url("**/cases?q=ticket-1*")
        page.once("dialog", lambda dialog: dialog.accept("ticket one"))
        page.get_by_role("button", name="Save this one").click()
        page.goto(f"{console.url}/cases")
        page.get_by_role("link", name="ticket one").click()
        page.wait_for_url("**/cases?q=ticket-1*")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/cases/{CASE}")
        expect(page.get_by_role("heading", level=1)).to_have_text("ticket-1")
        expect(page.locator(".timeline > li")).to_have_count(3)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()


def test_tonight_counts_a_case_that_comes_while_it_is_open(
    browser: Browser, console: RunningConsole, client: Client
) -> None:
    with screen(browser, console) as window:
        window.open("/tonight")
        expect(window.page.locator(".tile.money span")).to_have_text("spent on 3 cases")
        expect(window.page.locator(".chart canvas")).to_be_visible()
        now = datetime.now(UTC)
        land(client, record("received", 5, time=now, **of_case("evt-2") | {"case_at": now}), first=10)
        expect(window.page.locator(".tile.money span")).to_have_text("spent on 4 cases")
        expect(window.page.locator(".chart canvas")).to_be_visible()
        assert not window.complaints
