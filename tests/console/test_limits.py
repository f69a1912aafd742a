"""How often somebody may try: by name, within a time, for a bounded number of names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from nightdesk.console import limits
from nightdesk.console.frame import CHANGES, WRONG_LOGINS
from nightdesk.console.limits import Limit, TooMany
from nightdesk.console.sessions import ENDS_AFTER, ENDS_AFTER_IDLE, Sessions
from nightdesk.console.visitors import Role, Visitor
from nightdesk.operations.persons import Person
from tests.console.server import RunningConsole, token_of

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def test_each_name_has_its_own_count_and_gets_it_back_in_time() -> None:
    now = [0.0]
    limit = Limit(2, 60.0, lambda: now[0])
    limit.take("a")
    now[0] = 30.0
    limit.take("a")
    with pytest.raises(TooMany, match="wait 30 s"):
        limit.take("a")
    limit.take("b")
    now[0] = 60.0
    limit.take("a")
    with pytest.raises(TooMany):
        limit.check("a")


def test_many_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NAMES_AT_MOST", 3)
    limit = Limit(1, 60.0, lambda: 0.0)
    for name in "abcd":
        limit.take(name)
    limit.take("a")  # forgotten
    with pytest.raises(TooMany):
        limit.take("d")


def test_changes_are_bounded_for_each_person(console: RunningConsole) -> None:
    with console.browser("ada") as ada, console.browser("bob") as bob:
        order = {"csrf": ada.csrf(), "kind": "pause"}
        found = {ada.client.post("/agents/x/orders", data=order).status_code for _ in range(CHANGES[0])}
        assert found == {403}
        assert ada.client.post("/agents/x/orders", data=order).status_code == 429
        assert bob.post("/agents/x/orders", kind="pause").status_code == 403


def test_who_tries_many_tokens_has_to_wait_and_sessions_go_on(console: RunningConsole) -> None:
    with console.browser("vera") as vera:
        wrong = [httpx2.post(console.url + "/login", data={"token": "wrong"}) for _ in range(WRONG_LOGINS[0])]
        assert {answer.status_code for answer in wrong} == {403}
        stopped = httpx2.post(console.url + "/login", data={"token": token_of("ada")})
        assert stopped.status_code == 429
        assert int(stopped.headers["retry-after"]) > 0
        assert console.get("/cases.json").status_code == 429
        assert vera.get("/cases").status_code == 200


def test_a_session_ends_after_idle_hours_and_after_a_day() -> None:
    sessions, visitor = Sessions(), Visitor(Person("ada"), Role.viewer)
    idle = sessions.begin(visitor, NOW)
    assert sessions.find(idle, NOW + ENDS_AFTER_IDLE + timedelta(seconds=1)) is None
    used, at = sessions.begin(visitor, NOW), NOW
    while at + ENDS_AFTER_IDLE <= NOW + ENDS_AFTER:
        at += ENDS_AFTER_IDLE
        assert sessions.find(used, at) is not None
    assert sessions.find(used, NOW + ENDS_AFTER + timedelta(seconds=1)) is None
