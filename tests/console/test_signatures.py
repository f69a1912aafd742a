"""Who signed a request is told by the published examples of both formats, and a request counts once and soon."""

from __future__ import annotations

import pytest

from nightdesk.console.signatures import NotSigned, Seen, check_slack, check_webhook, key_of

# https://docs.slack.dev/authentication/verifying-requests-from-slack
SLACK_SECRET, SLACK_AT = "8f742231b10e8888abcd99yyyzzz85a5", 1531420618
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
SLACK = {"x-slack-request-timestamp": str(SLACK_AT), "x-slack-signature": SLACK_SIGNATURE}
# https://github.com/standard-webhooks/standard-webhooks
WEBHOOK_SECRET, WEBHOOK_AT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1614265330
WEBHOOK_BODY = b'{"test": 2432232314}'
WEBHOOK_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
WEBHOOK = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(WEBHOOK_AT),
    "webhook-signature": f"v2,other {WEBHOOK_SIGNATURE}",
}


def test_the_published_examples_are_signed() -> None:
    assert check_slack(SLACK_SECRET, SLACK, SLACK_BODY, SLACK_AT + 299) == SLACK_SIGNATURE
    assert check_webhook(WEBHOOK_SECRET, WEBHOOK, WEBHOOK_BODY, WEBHOOK_AT - 299) == WEBHOOK_SIGNATURE


@pytest.mark.parametrize(
    ("secret", "headers", "body", "seconds"),
    [
        (SLACK_SECRET, SLACK, SLACK_BODY, 301),
        (SLACK_SECRET, SLACK, SLACK_BODY, -301),
        (SLACK_SECRET, SLACK, SLACK_BODY + b" ", 0),
        (SLACK_SECRET, SLACK, SLACK_BODY.replace(b"%2F", b"/"), 0),
        (SLACK_SECRET[:-1], SLACK, SLACK_BODY, 0),
        (SLACK_SECRET, {**SLACK, "x-slack-request-timestamp": str(SLACK_AT + 1)}, SLACK_BODY, 0),
        (SLACK_SECRET, {**SLACK, "x-slack-request-timestamp": "1531420618.0"}, SLACK_BODY, 0),
        (SLACK_SECRET, {**SLACK, "x-slack-request-timestamp": "\u0661"}, SLACK_BODY, 0),
        (SLACK_SECRET, {**SLACK, "x-slack-signature": SLACK_SIGNATURE.replace("v0=", "v1=")}, SLACK_BODY, 0),
        (SLACK_SECRET, {**SLACK, "x-slack-signature": "v0=\xe4"}, SLACK_BODY, 0),
        (SLACK_SECRET, {}, SLACK_BODY, 0),
    ],
)
def test_anything_else_is_not_of_slack(secret: str, headers: dict[str, str], body: bytes, seconds: int) -> None:
    with pytest.raises(NotSigned):
        check_slack(secret, headers, body, SLACK_AT + seconds)


@pytest.mark.parametrize(
    "changed",
    [{"webhook-id": "msg_other"}, {"webhook-id": ""}, {"webhook-timestamp": "1614265331"}, {"webhook-signature": ""}],
)
def test_anything_else_is_of_no_webhook(changed: dict[str, str]) -> None:
    with pytest.raises(NotSigned):
        check_webhook(WEBHOOK_SECRET, {**WEBHOOK, **changed}, WEBHOOK_BODY, WEBHOOK_AT)
    with pytest.raises(NotSigned):
        check_webhook(WEBHOOK_SECRET, WEBHOOK, WEBHOOK_BODY + b" ", WEBHOOK_AT)


def test_a_request_counts_once_while_its_time_counts() -> None:
    seen = Seen()
    seen.check("a", 0)
    seen.check("b", 1)
    with pytest.raises(NotSigned, match="received before"):
        seen.check("a", 599)
    seen.check("a", 601)  # by then its time is refused


@pytest.mark.parametrize("secret", ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!", "whsec_c2hvcnQ="])
def test_a_weak_secret_is_none(secret: str) -> None:
    with pytest.raises(ValueError, match="it "):
        key_of(secret)
