"""A request's digest: equal questions have the same one, different questions different ones."""

from decimal import Decimal

import pytest

from nightdesk.processors.model import ModelRequest, TokenPrice

REQUEST = ModelRequest(
    model="claude-sonnet-5-5",
    system="You handle tickets.",
    prompt="hello",
    answer_schema={"type": "object", "title": "answer"},
    max_output_tokens=100,
    timeout_seconds=10,
)


def test_the_order_of_a_schema_and_what_the_model_does_not_see_change_nothing() -> None:
    price = TokenPrice(input_per_mtok_usd=Decimal(1), output_per_mtok_usd=Decimal(1))
    same = {"answer_schema": {"title": "answer", "type": "object"}, "timeout_seconds": 5.0, "prices": {"m": price}}
    assert REQUEST.model_copy(update=same).digest() == REQUEST.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "x"},
        {"system": ""},
        {"prompt": "hi"},
        {"answer_schema": {}},
        {"max_output_tokens": 1},
        {"effort": "low"},
    ],
)
def test_what_the_model_sees_changes_the_digest(change: dict[str, object]) -> None:
    assert REQUEST.model_copy(update=change).digest() != REQUEST.digest()


def test_a_provider_is_asked_for_the_model_by_its_own_name() -> None:
    request = REQUEST.model_copy(update={"models": {"openai-compatible": "gpt-4o-mini"}})
    assert request.for_provider("openai-compatible").model == "gpt-4o-mini"
    assert request.for_provider("anthropic") is request
