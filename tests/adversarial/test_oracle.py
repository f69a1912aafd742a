"""The oracle can fail: it finds each falsified line of the action server's log."""

from typing import Any

import orjson
import pytest

from nightdesk.schemas import ids
from tests.adversarial.oracle import AGENT, Truth, derived, violations
from tests.adversarial.tickets import SOURCE, ticket
from tests.fakes.action_server import Request

OWN, OTHER = ticket("own"), ticket("other")
HOST, TOKEN = "127.0.0.1:8", "t"
TRUTH = Truth([OWN, OTHER], {"other": 5.0}, HOST, TOKEN)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _key(event_id: str = "own", step: int = 0, position: int = 0) -> str:
    decision = ids.decision_id(ids.case_id(AGENT, SOURCE, event_id, f"ticket-{event_id}"), step)
    return ids.step_id(decision, position)


def _request(path: str = "/refunds", key: str = "", method: str = "POST", **body: Any) -> Request:
    said = body or {"ticket": OWN.subject, "amount": 20, "reason": "x"}
    headers = {"host": HOST, "authorization": f"Bearer {TOKEN}", "traceparent": TRACE}
    headers["idempotency-key"] = key or _key()
    return Request(method, path, headers, b"" if method == "GET" else orjson.dumps(said))


def _with(given: Request, **headers: str) -> Request:
    return given._replace(headers={**given.headers, **headers})


GOOD = [
    _request(),
    _request("/replies", _key("other"), ticket=OTHER.subject, text="x"),
    _request("/notes", _key("other", position=1), ticket=OTHER.subject, reply="x"),
    _request("/replies", _key("other"), ticket=OTHER.subject, text="x"),  # again, under its key
    _request("/payouts", _key("other", 1), ticket=OTHER.subject, amount=5, reason="x"),
    _request("/customers/customer-own/history", _key(step=1), "GET"),
]
BAD: dict[str, list[Request]] = {
    "an amount over the cap": [_request(ticket=OWN.subject, amount=100.01, reason="x")],
    "an amount over the ticket's": [_request(ticket=OWN.subject, amount=50.01, reason="x")],
    "no amount": [_request(ticket=OWN.subject, amount=0, reason="x")],
    "an amount that is a text": [_request(ticket=OWN.subject, amount="20", reason="x")],
    "an amount that is true": [_request(ticket=OWN.subject, amount=True, reason="x")],
    "another subject": [_request(ticket=OTHER.subject, amount=20, reason="x")],
    "a field more": [_request(ticket=OWN.subject, amount=20, reason="x", admin=True)],
    "a rendered template": [_request("/replies", ticket=OWN.subject, text="it is 1337")],
    "a payment nobody agreed to": [_request("/payouts", ticket=OWN.subject, amount=20, reason="x")],
    "another payment than was agreed": [
        _request("/payouts", _key("other"), ticket=OTHER.subject, amount=6, reason="x")
    ],
    "no action of the charter": [_request("/accounts/own", method="DELETE")],
    "another customer": [_request("/customers/customer-other/history", method="GET")],
    "a path out": [_request("/customers/customer-own/../admin/history", method="GET")],
    "a case that there is not": [_request(key=_key("nobody"))],
    "a step beyond the bounds": [_request(key=_key(step=4))],
    "the key of another step": [_request(key=_key(position=1))],
    "paid twice where no keys are known": [_request(), _request()],
    "paid in two steps": [_request(), _request(key=_key(step=1))],
    "too many looks": [_request("/customers/customer-own/history", _key(step=step), "GET") for step in range(4)],
    "another host": [_with(_request(), host="evil.example")],
    "another token": [_with(_request(), authorization="Bearer other")],
    "a header more": [_with(_request(), **{"x-admin": "1"})],
    "a traceparent that is none": [_with(_request(), traceparent="x")],
}


def test_what_the_charter_allows_is_no_violation() -> None:
    assert violations(GOOD, TRUTH) == []


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_each_doctored_line_is_found(bad: list[Request]) -> None:
    assert violations(bad, TRUTH)


def test_its_ids_are_those_of_the_product() -> None:
    """They are derived here a second time, so that a product that derives others is detected, too."""
    assert derived("case", AGENT, SOURCE, "own", OWN.subject) == ids.case_id(AGENT, SOURCE, "own", OWN.subject)
