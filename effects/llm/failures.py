"""What an HTTP status or a broken connection of a model provider means. Both providers read errors through here."""

from collections.abc import Mapping

import aiohttp

from effects.llm.protocol import Kind

STATUSES: Mapping[int, Kind] = {
    401: Kind.AUTHENTICATION,
    402: Kind.AUTHENTICATION,
    403: Kind.AUTHENTICATION,
    408: Kind.TIMEOUT,
    413: Kind.CONTEXT_EXCEEDED,
    429: Kind.RATE_LIMITED,
    # A gateway speaks for a server that it had passed the question to.
    502: Kind.CONNECTION_LOST,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    529: Kind.OVERLOADED,
}
# Both APIs answer 400 to a prompt that is too long, and say so only in words.
TOO_LONG = ("prompt is too long", "context_length_exceeded", "maximum context length", "context window")


def kind_of_status(status: int, body: str) -> Kind:
    """The kind of error that a status other than 2xx stands for."""
    if status == 400 and any(words in body for words in TOO_LONG):
        return Kind.CONTEXT_EXCEEDED
    if status < 400:  # a redirect is not followed: it would carry the key elsewhere
        return Kind.MALFORMED_HTTP
    return STATUSES.get(status, Kind.SERVER_ERROR if status >= 500 else Kind.REJECTED)


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """The `retry-after` header in seconds; 0 where there is none or it is a date, which neither API sends."""
    try:
        return max(0.0, float(headers.get("retry-after", 0)))
    except ValueError:
        return 0.0


def kind_of_connection(error: BaseException) -> Kind:
    """The kind of error that an exception of aiohttp stands for. What is not known to be unsent may have been paid."""
    match error:
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return Kind.CONNECTION
        case TimeoutError():
            return Kind.TIMEOUT
        case aiohttp.ClientResponseError():  # what came back is not HTTP
            return Kind.MALFORMED_HTTP
    return Kind.CONNECTION_LOST
