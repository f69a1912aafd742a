"""What the model APIs refuse with 400. The fake server checks it as the real ones do, so a client that forgets a role,
asks for no tokens or invents a field gets an error.
"""

from collections.abc import Iterator, Mapping
from typing import Any

EFFORTS = ("low", "medium", "high")
ANTHROPIC_KEYS = frozenset({"model", "max_tokens", "system", "messages", "output_config"})
OPENAI_KEYS = frozenset(
    {"model", "messages", "response_format", "max_tokens", "max_completion_tokens", "temperature", "reasoning_effort"}
)


def problem_with(api: str, headers: Mapping[str, str], body: Any) -> str | None:
    """The first problem of a request; None if the API would accept it."""
    if headers.get("content-type") != "application/json":
        return "content-type: application/json is missing"
    if not isinstance(body, dict):
        return "the body is no object"
    problems = _of_anthropic(headers, body) if api == "anthropic" else _of_openai(body)
    return next(problems, None)


def _of_anthropic(headers: Mapping[str, str], body: dict[str, Any]) -> Iterator[str]:
    yield from (f"{key}: extra inputs are not permitted" for key in body.keys() - ANTHROPIC_KEYS)
    if "anthropic-version" not in headers:
        yield "anthropic-version: header is required"
    yield from _of_tokens(body, "max_tokens")
    yield from _of_messages(body, ("user", "assistant"))
    for block in body.get("system", ()):
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            yield "system: input should be a valid text block"
    config = body.get("output_config", {})
    if config.get("effort", "low") not in EFFORTS:
        yield f"output_config.effort: one of {EFFORTS}"
    if config.get("format", {}).get("type") != "json_schema" or not isinstance(config["format"].get("schema"), dict):
        yield "output_config.format: a json_schema is required"


def _of_openai(body: dict[str, Any]) -> Iterator[str]:
    yield from (f"unrecognized request argument: {key}" for key in body.keys() - OPENAI_KEYS)
    given = [key for key in ("max_tokens", "max_completion_tokens") if key in body]
    if len(given) != 1:
        yield "exactly one of max_tokens and max_completion_tokens"
    yield from (problem for key in given for problem in _of_tokens(body, key))
    yield from _of_messages(body, ("system", "user", "assistant"))
    if body.get("reasoning_effort", "low") not in EFFORTS:
        yield f"reasoning_effort: one of {EFFORTS}"
    if not 0 <= body.get("temperature", 0) <= 2:
        yield "temperature: from 0 to 2"
    wanted = body.get("response_format", {})
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("json_schema", {}).get("schema"), dict):
        yield "response_format: a json_schema is required"


def _of_tokens(body: dict[str, Any], key: str) -> Iterator[str]:
    if type(body.get(key)) is not int or body[key] < 1:
        yield f"{key}: a whole number from 1"


def _of_messages(body: dict[str, Any], roles: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(body.get("model"), str):
        yield "model: field required"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        yield "messages: at least one"
        return
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in roles:
            yield f"messages.{number}.role: one of {roles}"
        elif not isinstance(message.get("content"), str):
            yield f"messages.{number}.content: field required"
    if messages[-1].get("role") != "user":
        yield "messages: the last one has to be the user's"
