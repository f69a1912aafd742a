"""Each question to a model is a row with its texts, of which the story of a case shows nothing."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from nightdesk.commands.why_text import asked
from nightdesk.sinks.model_calls import model_calls
from nightdesk.sinks.queries import story
from tests.sinks.records import decided, land, of_case, question, record


def test_questions_are_read_by_their_subject(client: Client) -> None:
    case = of_case()
    land(
        client,
        record("received", 0, **case),
        record("asked", 1, question(reply="no\nJSON"), provider="anthropic", model="m-1", **case),
        record("asked", 2, question(attempt=1, answered=False, reply="", fallbacks=()), **case),
        decided(3),
    )
    first, second = model_calls(client, "ticket-1")
    assert (first.prompt, first.reply, first.provider, first.cost_microusd) == (
        "Where is it?",
        "no\nJSON",
        "anthropic",
        700,
    )
    assert (second.attempt, second.answered, second.provider) == (1, False, None)
    assert model_calls(client, "ticket-2") == []
    lines = list(asked([first, second]))
    assert "  | JSON" in lines
    assert any("nobody answered" in line for line in lines)

    found = story(client, "ticket-1")
    assert found is not None
    assert [line.kind for one in found.cases for line in one.timeline] == ["received", "decided"]
    assert [one.cost_microusd for one in found.cases] == [4_200]
    assert client.query("SELECT count() FROM records_by_kind").result_rows == [(0,)]


def test_who_asked_no_model_is_told_so() -> None:
    assert list(asked([])) == ["", "no model was asked"]
