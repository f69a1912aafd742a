"""Who approves: the worker itself checks a name that has a key; any other name is shown as claimed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from nightdesk.messaging.failures import Failure
from nightdesk.operations.persons import KeyHolders, Signer, claimed_name, of_a_person
from nightdesk.operations.settings import PersonSettings
from nightdesk.processors.provenance import payload_sha256
from nightdesk.schemas.approval_details import ApprovalReplyDetail
from nightdesk.schemas.records import ApprovalReply
from nightdesk.schemas.topics import ACT, APPROVALS
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.approval_checks import EXPIRY
from tests.processors.examples import NOW, case, compiled
from tests.schemas.details import detail_as
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, audited, in_force
from tests.streams.stages.world import World, decision

CHARTER = compiled()
REFUND = decision(case(CHARTER), "refund", amount=50.0)
ADA, EVE = (OKPKey.generate_key("Ed25519", {"kid": name}) for name in ("ada", "eve"))
MALLORY = OKPKey.generate_key("Ed25519", {"kid": "ada"})  # in ada's name, with another key


def reply(verdict: str = "approve", person: str = "ada", **fields: Any) -> ApprovalReply:
    given = {"decision_id": REFUND.decision_id, "subject": "t-1", "verdict": verdict, "person": person, "time": NOW}
    return ApprovalReply.model_validate({**given, "payload_sha256": payload_sha256(REFUND), **fields})


def signed(answer: ApprovalReply, key: OKPKey = ADA) -> ApprovalReply:
    return Signer(str(key.kid), key).sign(answer)


async def taken(answer: ApprovalReply, required: bool = True) -> tuple[World, str]:
    """The world after the answer, and its audit record."""
    world = World()
    persons = KeyHolders({"ada": ADA, "eve": EVE}, required)
    bench = Bench(Act(in_force(CHARTER), world, Clock(), persons))
    await bench.take(ACT, REFUND)
    on_the_wire = CODEC.decode(ApprovalReply, CODEC.encode(answer))
    first = await bench.take(APPROVALS, on_the_wire, 3)
    return world, audited(first)[0].reason


@pytest.mark.parametrize("required", [True, False])
async def test_a_signed_answer_is_of_its_person(required: bool) -> None:
    world, said = await taken(signed(reply(reason="seen")), required)
    assert (world.handlers, said) == (["pay"], "approve by ada: seen")
    edited = signed(reply("edit", parameters='{"amount": 40.0}'))
    world, said = await taken(edited, required)
    assert (world.handlers, said) == (["pay"], "edit by ada")


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        reply(),
        reply(signature="x.y.z"),
        reply(signature="eyJhbGciOiJub25lIn0.e30."),
        signed(reply(), MALLORY),
        signed(reply(), EVE).model_copy(update={"person": "ada"}),
        signed(reply("reject")).model_copy(update={"verdict": "approve"}),
        signed(reply(reason="no more than 10")).model_copy(update={"reason": "yes"}),
        signed(reply("edit", parameters='{"amount": 1.0}')).model_copy(update={"parameters": '{"amount": 90.0}'}),
        signed(reply(decision_id="of another")).model_copy(update={"decision_id": REFUND.decision_id}),
    ],
)
async def test_in_the_name_of_one_with_a_key_nobody_else_answers(answer: ApprovalReply, required: bool) -> None:
    """`LOGNAME=ada` is not enough, and no part of a signed answer can be used for another."""
    world, said = await taken(answer, required)
    assert (world.handlers, said) == ([], "ada has a key, and it did not sign this answer")


async def test_a_name_without_a_key_is_claimed() -> None:
    world, said = await taken(reply(person="the-ceo"), required=False)
    assert (world.handlers, said) == (["pay"], "approve by the-ceo (claimed)")


async def test_where_signatures_are_required_a_claim_approves_nothing_and_may_reject() -> None:
    for verdict, parameters in (("approve", None), ("edit", '{"amount": 1.0}')):
        world, said = await taken(reply(verdict, "the-ceo", parameters=parameters))
        assert (world.handlers, said) == ([], "only a signed answer approves, and the-ceo is only claimed")
    _, said = await taken(reply("reject", "the-ceo"))
    assert said == "reject by the-ceo (claimed)"
    world, said = await taken(reply("reject", EXPIRY))
    assert said.startswith("no person's name")


@pytest.mark.parametrize(
    "name", [EXPIRY, "nightdesk: me", "NIGHTDESK:me", "\uff4eightdesk:me", "nightdesk\uff1a me", "  Nightdesk:me"]
)
def test_who_is_logged_in_under_a_name_of_the_system_gives_no_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", name)
    with pytest.raises(Failure, match="no person's name begins"):
        claimed_name()
    with pytest.raises(Failure, match="no person's name begins"):
        of_a_person(name)


@pytest.mark.parametrize(
    "name",
    [" ", "x" * 201, "\udcff", "\x1b[31mada", "ada\nbo", "\u202eada", "night\u200bdesk:me", "nightdesk\u2060: me"],
)
def test_a_name_that_cannot_be_shown_or_recorded_is_no_persons(name: str) -> None:
    with pytest.raises(Failure, match="is no person's name"):
        of_a_person(name)


def test_whoever_has_no_login_name_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2_000_000_000)
    with pytest.raises(Failure, match="no login name") as raised:
        claimed_name()
    assert "LOGNAME" in str(raised.value)


async def test_a_forged_answer_of_a_disguised_system_counts_for_nothing() -> None:
    _, said = await taken(reply("approve", "night\u200bdesk: me"))
    assert said.startswith("no person's name")


async def test_an_answer_that_counted_counts_when_it_is_read_again_without_the_key() -> None:
    world = World()
    bench = Bench(Act(in_force(CHARTER), world, Clock(), KeyHolders({"ada": ADA}, True)))
    await bench.take(ACT, REFUND)
    await bench.take(APPROVALS, signed(reply()), 3)
    withdrawn = Bench(Act(in_force(CHARTER), world, Clock(), KeyHolders({"eve": EVE}, True))).inherit(bench)
    first, *_ = audited(await withdrawn.take(APPROVALS, signed(reply()), 3))
    assert detail_as(ApprovalReplyDetail, first).counts


def test_keys_come_from_files(tmp_path: Path) -> None:
    mine, all_of_us = tmp_path / "ada.json", tmp_path / "persons.json"
    mine.write_text(json.dumps(ADA.as_dict(private=True)))
    all_of_us.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in (ADA, EVE)]}))
    signer = Signer.of(PersonSettings(key_file=mine))
    assert signer is not None
    answer = signer.sign(reply(person="whoever"))
    holders = KeyHolders.of(PersonSettings(keys_file=all_of_us, required=True))
    assert (answer.person, holders.identity(answer), holders.required) == ("ada", "verified", True)


NO_KEYS = ["", "{}", '{"kid": "ada"}', '{"kid": "ada", "d": "secret", "kty": "OKP"}', "[1]", "x", '{"keys": []}']
OTHER_KIND = OKPKey.generate_key("X25519", {"kid": "ada"}).as_dict(private=True)


@pytest.mark.parametrize("text", [*NO_KEYS, json.dumps(OTHER_KIND), json.dumps({"keys": [OTHER_KIND]})])
def test_a_file_without_a_key_is_a_failure_that_shows_nothing_of_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key.json"
    file.write_text(text)
    with pytest.raises(Failure) as failure:
        Signer.of(PersonSettings(key_file=file))
    assert "secret" not in str(failure.value)
    with pytest.raises(Failure) as failure:
        KeyHolders.of(PersonSettings(keys_file=file))
    assert "secret" not in str(failure.value)


def test_requiring_signatures_of_nobody_is_a_failure() -> None:
    with pytest.raises(Failure, match="NIGHTDESK_PERSON__KEYS_FILE"):
        KeyHolders.of(PersonSettings(required=True))
