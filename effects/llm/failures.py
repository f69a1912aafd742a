"""The meaning of an HTTP status or a broken connection, for all model providers."""

from collections.abc import Mapping

import aiohttp

from nightdesk.effects import retry_after
from nightdesk.effects.bodies import BodyTooLarge, BodyUnreadable
from nightdesk.effects.llm.protocol import Kind

STATUSES: Mapping[int, Kind] = {
    401: Kind.AUTHENTICATION,
    402: Kind.AUTHENTICATION,
    403: Kind.AUTHENTICATION,
    408: Kind.TIMEOUT,
    413: Kind.CONTEXT_EXCEEDED,
    429: Kind.RATE_LIMITED,
    # A gateway may have passed the question on to a server; 503 comes from gateways as often as from the API.
    502: Kind.CONNECTION_LOST,
    504: Kind.TIMEOUT,
    529: Kind.OVERLOADED,
}
# Both APIs answer 400 to a prompt that is too long, and only the message shows the reason.
TOO_LONG = ("prompt is too long", "context_length_exceeded", "maximum context length", "context window")


# OpenAI answers 429 to a customer without credit too, and then waiting does not help.
NO_CREDIT = "insufficient_quota"


def kind_of_status(status: int, body: str) -> Kind:
    """The kind of error for a status other than 2xx."""
    if status == 429 and NO_CREDIT in body:
        return Kind.AUTHENTICATION
    if status == 400 and any(words in body for words in TOO_LONG):
        return Kind.CONTEXT_EXCEEDED
    if status < 400:  # a redirect is not followed: it would send the key elsewhere
        return Kind.MALFORMED_HTTP
    return STATUSES.get(status, Kind.SERVER_ERROR if status >= 500 else Kind.REJECTED)


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Seconds that the provider asks us to wait; 0 if it does not say."""
    return retry_after.retry_after_seconds(headers.get("retry-after")) or 0.0


def kind_of_connection(error: BaseException) -> Kind:
    """The kind of error for an exception of aiohttp. A request that may have been sent may have been charged."""
    match error:
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return Kind.CONNECTION
        case TimeoutError():
            return Kind.TIMEOUT
        # The response is not HTTP, or not what was requested.
        case aiohttp.ClientResponseError() | BodyTooLarge() | BodyUnreadable():
            return Kind.MALFORMED_HTTP
    return Kind.CONNECTION_LOST
