"""What every status, every text of an error and every broken connection means."""

from collections.abc import Callable

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from nightdesk.effects.bodies import BodyTooLarge, BodyUnreadable
from nightdesk.effects.llm.failures import kind_of_connection, kind_of_status, retry_after_seconds
from nightdesk.effects.llm.protocol import MEANINGS, Kind, Meaning, Paid

OF_STATUS = {
    401: Kind.AUTHENTICATION,
    402: Kind.AUTHENTICATION,
    403: Kind.AUTHENTICATION,
    408: Kind.TIMEOUT,
    413: Kind.CONTEXT_EXCEEDED,
    429: Kind.RATE_LIMITED,
    502: Kind.CONNECTION_LOST,
    504: Kind.TIMEOUT,
    529: Kind.OVERLOADED,
}
TOO_LONG = ("prompt is too long", "context_length_exceeded", "maximum context length is 8", "the context window of")


@pytest.mark.parametrize("status", range(300, 600))
def test_each_status_has_its_kind(status: int) -> None:
    others = Kind.MALFORMED_HTTP if status < 400 else Kind.REJECTED if status < 500 else Kind.SERVER_ERROR
    kind = OF_STATUS.get(status, others)
    assert kind_of_status(status, "the prompt was fine") is kind
    # What a body says counts with one status only.
    for body in TOO_LONG:
        assert kind_of_status(status, f"error: {body}") is (Kind.CONTEXT_EXCEEDED if status == 400 else kind)
    credit = "code: insufficient_quota"
    assert kind_of_status(status, credit) is (Kind.AUTHENTICATION if status == 429 else kind)


PLACE = ConnectionKey("127.0.0.1", 1, False, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.ClientConnectorError(PLACE, OSError("refused")), Kind.CONNECTION),
        (aiohttp.ConnectionTimeoutError(), Kind.CONNECTION),
        (aiohttp.SocketTimeoutError(), Kind.TIMEOUT),
        (TimeoutError(), Kind.TIMEOUT),
        (aiohttp.ServerDisconnectedError(), Kind.CONNECTION_LOST),
        (aiohttp.ClientOSError("reset"), Kind.CONNECTION_LOST),
        (aiohttp.ClientPayloadError(), Kind.CONNECTION_LOST),
        (BodyTooLarge(), Kind.MALFORMED_HTTP),
        (BodyUnreadable(), Kind.MALFORMED_HTTP),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_broken_connection_has_its_kind(error: BaseException, kind: Kind) -> None:
    """Only a request that was never sent costs nothing."""
    assert kind_of_connection(error) is kind


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("0.5", 0.5), ("-1", 0.0), ("Sun, 22 Nov 2026", 0.0), ("inf", 0.0), ("nan", 0.0)]
)
def test_retry_after_is_never_a_surprise(value: str, seconds: float) -> None:
    assert retry_after_seconds({"retry-after": value}) == seconds
    assert retry_after_seconds({}) == 0.0


def test_each_kind_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Kind)


PASSING = {Kind.RATE_LIMITED, Kind.OVERLOADED, Kind.CONNECTION}
# The model may have answered: no error of a server proves that it did not.
MAYBE_ANSWERED = {Kind.SERVER_ERROR, Kind.CONNECTION_LOST, Kind.TIMEOUT, Kind.MALFORMED_HTTP}
ANSWERED = {Kind.CONTEXT_EXCEEDED, Kind.TRUNCATED, Kind.REFUSED}


def test_what_each_kind_means_for_money_the_next_provider_and_the_circuit() -> None:
    def kinds(wanted: Callable[[Meaning], bool]) -> set[Kind]:
        return {kind for kind, meaning in MEANINGS.items() if wanted(meaning)}

    assert kinds(lambda meaning: meaning.paid is Paid.UNKNOWN) == MAYBE_ANSWERED
    assert kinds(lambda meaning: meaning.paid is Paid.KNOWN) == ANSWERED
    assert kinds(lambda meaning: meaning.retryable) == PASSING | MAYBE_ANSWERED | {Kind.CIRCUIT_OPEN, Kind.STOPPED}
    assert kinds(lambda meaning: not meaning.falls_through) == {Kind.STOPPED, Kind.TRUNCATED, Kind.REFUSED}
    assert kinds(lambda meaning: meaning.trips) == PASSING | MAYBE_ANSWERED | {Kind.AUTHENTICATION}
