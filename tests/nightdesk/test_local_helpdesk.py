"""The example help desk: an action counts once per idempotency key, also across a restart."""

from __future__ import annotations

from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer

from nightdesk.local.helpdesk import Helpdesk, application


async def test_the_same_key_counts_once_and_gets_the_same_answer(tmp_path: Path) -> None:
    async with TestClient(TestServer(application(Helpdesk.load(tmp_path / "desk.jsonl")))) as client:
        body = {"ticket": "12345", "text": "hello"}
        first = await client.post("/replies", json=body, headers={"Idempotency-Key": "k1"})
        again = await client.post("/replies", json=body, headers={"Idempotency-Key": "k1"})
        other = await client.post("/replies", json=body, headers={"Idempotency-Key": "k2"})
        assert (first.status, await first.json()) == (again.status, await again.json())
        assert (await other.json())["id"] != (await first.json())["id"]
        assert await (await client.get("/count")).json() == {"requests": 3, "distinct": 2}
        history = await (await client.get("/tickets/12345/history")).json()
        assert [effect["key"] for effect in history["history"]] == ["k1", "k2"]


async def test_a_restart_remembers_the_keys(tmp_path: Path) -> None:
    before = Helpdesk.load(tmp_path / "desk.jsonl").perform("refunds", "", {"amount": 5}, "k")
    desk = Helpdesk.load(tmp_path / "desk.jsonl")
    assert desk.perform("refunds", "", {"amount": 5}, "k") == before
    assert len(desk.effects) == 1


async def test_a_body_that_is_no_object_is_refused(tmp_path: Path) -> None:
    async with TestClient(TestServer(application(Helpdesk.load(tmp_path / "desk.jsonl")))) as client:
        for body in (b"{", b"[]"):
            assert (await client.post("/notes", data=body)).status == 400
        assert (await (await client.get("/count")).json())["distinct"] == 0
