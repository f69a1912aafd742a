"""`nightdesk dlq`: letters are found, shown in full, sent again unchanged, and ended where everybody sees it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from nightdesk.messaging.partitions import partition_of
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import AuditRecord
from nightdesk.schemas.topics import ACT
from nightdesk.settings import Settings
from tests.nightdesk.command_line import CommandLine
from tests.nightdesk.letters import PARTITIONS, DlqWriter, event, everything

HOSTILE = b"\x00\xff\n\r\x1b[2J" + bytes(range(256))
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def codec(topics: Settings) -> Iterator[Codec]:
    with registered_codec(topics) as codec:
        yield codec


@pytest.fixture
def send_to_dlq(topics: Settings, codec: Codec) -> DlqWriter:
    return DlqWriter(topics, codec)


def ids(result: Any) -> list[str]:
    return [letter["dead_letter_id"] for letter in result.json()]


def test_the_json_contract_of_list(nightdesk: CommandLine, send_to_dlq: DlqWriter) -> None:
    letter_id = send_to_dlq.event(7)
    [letter] = nightdesk("dlq", "list", "--output", "json").json()
    assert letter == {
        "dead_letter_id": letter_id,
        "state": "open",
        "stage": "ingest",
        "topic": "ingest",
        "partition": partition_of(b"t-7", PARTITIONS),
        "offset": 1,
        "time": "2026-11-20T08:01:00+00:00",
        "subject": "t-7",
        "case_id": None,
        "attempted": "_refuse",
        "error": "ConnectionError",
        "message": "the other side hung up\x1b[2J",
        "attempts": 1,
        "kind": "failed",
        "replay_of": None,
        "waiting": 0,
        "size_bytes": len(send_to_dlq.codec.encode(event(7))),
        "records": 1,
        "origin": "source shop",
        "end": None,
    }
    assert "\x1b" not in nightdesk("dlq", "list").out


def test_filters_say_which_letters_are_meant(nightdesk: CommandLine, send_to_dlq: DlqWriter) -> None:
    unreadable, at_act, third = send_to_dlq(b"x"), send_to_dlq(b"y", topic=ACT, stage="act"), send_to_dlq.event(3)
    for options, expected in {
        (): [unreadable, at_act, third],
        ("--topic", "act"): [at_act],
        ("--stage", "ingest"): [unreadable, third],
        ("--cause", "the other side hung up\x1b[…J"): [third],
        ("--error", "ConnectionError"): [third],
        ("--subject", "t-3"): [third],
        ("--origin", "source shop"): [third],
        ("--origin", "not Avro: begins with 0x78"): [unreadable],
        ("--since", "2026-11-20T08:02"): [at_act, third],
        ("--until", "2026-11-20T10:02:00+02:00"): [unreadable],
        ("--since", "1h"): [],
        ("--limit", "2"): [unreadable, at_act],
        ("--state", "replayed"): [],
    }.items():
        assert ids(nightdesk("dlq", "list", "-o", "json", *options)) == expected, options


WRONG: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("list", "--since", "yesterday"), 2, "'yesterday' is no time"),
    (("list", "--topic", "control"), 2, "no topic 'control' has dead letters"),
    (("show", "0" * 36), 3, "there is no dead letter"),
    (("replay",), 2, "Give ids, a filter, or --all"),
    (("replay", "--all"), 3, "no open dead letter matches"),
    (("discard", "--all"), 2, "--reason"),
    (("discard", "--reason", "old"), 2, "no letters are selected"),
)


@pytest.mark.usefixtures("topics")
def test_wrong_usage_says_what_to_do(nightdesk: CommandLine) -> None:
    for arguments, code, said in WRONG:
        result = nightdesk("dlq", *arguments)
        assert (result.code, result.out) == (code, ""), arguments
        assert said in result.err


@pytest.mark.parametrize("value", [HOSTILE, b"", None, b"x" * 3_000_000])
def test_the_bytes_come_back_as_they_came(
    nightdesk: CommandLine, send_to_dlq: DlqWriter, tmp_path: Path, value: bytes | None
) -> None:
    headers = (("x-own", b"\xff\x00"), ("x-own", b"again"), ("traceparent", TRACE))
    letter_id = send_to_dlq(value, b"\xfe", headers)
    assert nightdesk("dlq", "show", letter_id, "--raw", str(tmp_path / "raw")).out == ""
    assert (tmp_path / "raw").read_bytes() == (value or b"")
    shown = nightdesk("dlq", "show", letter_id[:8], "--output", "json").json()
    assert shown["value_base64"] == (None if value is None else base64.b64encode(value).decode())
    assert base64.b64decode(shown["key_base64"]) == b"\xfe"
    assert tuple((one["name"], base64.b64decode(one["value_base64"])) for one in shown["headers"]) == headers
    assert shown["record"] is None
    assert "Traceback" in shown["traceback"]
    told = nightdesk("dlq", "show", letter_id).out
    assert "read as Event" in told
    assert "\x1b" not in told


def test_what_can_be_read_is_shown_as_it_reads(nightdesk: CommandLine, send_to_dlq: DlqWriter) -> None:
    letter_id = send_to_dlq.event(3)
    assert nightdesk("dlq", "show", letter_id, "-o", "json").json()["record"]["id"] == "evt-3"
    assert '"id": "evt-3"' in nightdesk("dlq", "show", letter_id).out


def test_an_id_may_be_short_and_must_mean_one(nightdesk: CommandLine, send_to_dlq: DlqWriter) -> None:
    letter_id = send_to_dlq(b"x")
    assert nightdesk("dlq", "show", letter_id[:6]).code == 0
    refused = nightdesk("dlq", "show", letter_id[:5])
    assert (refused.code, "Give more of the id" in refused.err) == (2, True)


def test_replay_sends_the_record_as_it_came_and_remembers_it(
    nightdesk: CommandLine, send_to_dlq: DlqWriter, codec: Codec
) -> None:
    other = send_to_dlq(b"other", b"o", partition=0)
    letter_id = send_to_dlq(HOSTILE, b"k", (("x-own", b"\xff"),), partition=3)
    done = nightdesk("dlq", "replay", letter_id, "--reason", "fixed", "-o", "json").json()
    assert (done["verdict"], done["dry_run"]) == ("replayed", False)
    assert [letter["dead_letter_id"] for letter in done["letters"]] == [letter_id]

    [sent] = everything(send_to_dlq.settings, "ingest")
    assert (sent.key(), sent.value(), sent.partition()) == (b"k", HOSTILE, 3)
    assert sent.headers() == [
        ("x-own", b"\xff"),
        ("nightdesk.replay_of", letter_id.encode()),
        ("nightdesk.replay.attempts", b"1"),
    ]
    assert ids(nightdesk("dlq", "list", "-o", "json")) == [other]
    [replayed] = nightdesk("dlq", "list", "--state", "replayed", "-o", "json").json()
    assert (replayed["dead_letter_id"], replayed["end"]["reason"]) == (letter_id, "fixed")
    [line] = replays(send_to_dlq, codec)
    assert (line.subject, line.status) == ("k", "running")
    assert line.reason.endswith(": fixed")


def test_a_dry_run_changes_nothing(nightdesk: CommandLine, send_to_dlq: DlqWriter) -> None:
    letter_id = send_to_dlq(b"x")
    before = {topic: len(everything(send_to_dlq.settings, topic)) for topic in ("ingest", "ingest.dlq", "audit")}
    for arguments in (("replay", "--all"), ("discard", "--all", "--reason", "old")):
        told = nightdesk("dlq", *arguments, "--dry-run")
        assert letter_id[:13] in told.out
        assert "1 would be" in told.out
    assert before == {topic: len(everything(send_to_dlq.settings, topic)) for topic in before}
    assert ids(nightdesk("dlq", "list", "-o", "json")) == [letter_id]


def replays(send_to_dlq: DlqWriter, codec: Codec) -> list[AuditRecord]:
    """What was replayed, according to the audit."""
    lines = [codec.decode(AuditRecord, message.value()) for message in everything(send_to_dlq.settings, "audit")]
    return [line for line in lines if line.kind == "replayed"]


def test_a_letter_is_replayed_once_unless_somebody_insists(
    nightdesk: CommandLine, send_to_dlq: DlqWriter, codec: Codec
) -> None:
    letter_id = send_to_dlq(b"x")
    assert nightdesk("dlq", "replay", letter_id).code == 0
    refused = nightdesk("dlq", "replay", letter_id)
    assert (refused.code, "--again" in refused.err) == (3, True)
    assert nightdesk("dlq", "replay", letter_id, "--again").code == 0
    assert len(everything(send_to_dlq.settings, "ingest")) == 2
    assert len({line.record_id for line in replays(send_to_dlq, codec)}) == 2


def test_what_is_discarded_is_not_sent_and_can_still_be_read(nightdesk: CommandLine, send_to_dlq: DlqWriter) -> None:
    letter_id, other = send_to_dlq(b"x", b"a"), send_to_dlq(b"y", b"b")
    assert nightdesk("dlq", "discard", letter_id, "--reason", "a test").code == 0
    assert everything(send_to_dlq.settings, "ingest") == []
    assert ids(nightdesk("dlq", "list", "-o", "json")) == [other]
    shown = nightdesk("dlq", "show", letter_id, "-o", "json").json()
    assert (shown["state"], shown["end"]["reason"], shown["value_base64"]) == ("discarded", "a test", "eA==")


def test_a_dead_letter_that_was_sent_twice_is_one(nightdesk: CommandLine, send_to_dlq: DlqWriter) -> None:
    send_to_dlq(b"x")
    send_to_dlq.minutes = 0
    send_to_dlq(b"x")
    assert len(everything(send_to_dlq.settings, "ingest.dlq")) == 2
    assert len(nightdesk("dlq", "list", "-o", "json").json()) == 1
    assert nightdesk("dlq", "replay", "--all").code == 0
    assert len(everything(send_to_dlq.settings, "ingest")) == 1


def test_a_thousand_letters_are_replayed_in_their_order(nightdesk: CommandLine, send_to_dlq: DlqWriter) -> None:
    """They are more than one batch, and each is replayed once."""
    for number in range(450):
        send_to_dlq(str(number).encode(), partition=2)
    assert nightdesk("dlq", "replay", "--all").code == 0
    assert [message.value() for message in everything(send_to_dlq.settings, "ingest")] == [
        str(n).encode() for n in range(450)
    ]
    assert nightdesk("dlq", "list", "-o", "json").json() == []


def test_records_of_others_are_counted_and_passed_over(nightdesk: CommandLine, send_to_dlq: DlqWriter) -> None:
    from confluent_kafka import Producer

    producer = Producer(send_to_dlq.settings.kafka.client_config())
    producer.produce(
        send_to_dlq.settings.kafka.topic_prefix + "ingest.dlq", b"x", headers=[("nightdesk.dead_letter", b"no")]
    )
    producer.flush(30)
    result = nightdesk("dlq", "list", "-o", "json")
    assert (result.json(), "1 records" in result.err) == ([], True)


LARGE_HEADERS = (("x-own", b"\xff\x00" * 1000), ("x-none", None))


@pytest.fixture
def large(topics: Settings) -> tuple[bytes, int]:
    """A record on its topic that is too large for its dead letter: its value, and its offset."""
    value = b"\xff" + bytes(900_000)
    producer = Producer({**topics.kafka.client_config(), "message.max.bytes": 8_000_000})
    name = topics.kafka.topic_prefix + "ingest"
    producer.produce(name, b"before", b"k", partition=1)
    producer.produce(name, value, b"k", partition=1, headers=list(LARGE_HEADERS))
    assert producer.flush(30) == 0
    [offset] = [message.offset() for message in everything(topics, "ingest") if message.value() == value]
    assert offset is not None
    return value, offset


@pytest.mark.parametrize("where", ["its place", "a folder"])
def test_a_record_that_was_cut_is_found_whole_and_sent_again(
    nightdesk: CommandLine,
    send_to_dlq: DlqWriter,
    large: tuple[bytes, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    value, offset = large
    send_to_dlq.dead_letter_bytes = 200_000
    if where == "a folder":
        send_to_dlq.oversized_dir, offset = tmp_path / "kept", 987_654  # its topic holds it no longer
        monkeypatch.setenv("NIGHTDESK_WORKER__OVERSIZED_DIR", str(send_to_dlq.oversized_dir))
    letter_id = send_to_dlq(value, b"k", LARGE_HEADERS, offset=offset)
    shown = nightdesk("dlq", "show", letter_id, "--output", "json").json()
    assert (shown["truncated"], shown["whole"], shown["size_bytes"]) == (True, True, len(value))
    assert base64.b64decode(shown["value_base64"]) == value
    assert [header["name"] for header in shown["headers"]] == ["x-own", "x-none"]
    nightdesk("dlq", "show", letter_id, "--raw", str(tmp_path / "raw"))
    assert (tmp_path / "raw").read_bytes() == value
    assert nightdesk("dlq", "replay", letter_id).code == 0
    again = [
        list(message.headers() or ())[:2]
        for message in everything(send_to_dlq.settings, "ingest")
        if message.key() == b"k"
    ]
    assert again == [[], list(LARGE_HEADERS), list(LARGE_HEADERS)]


@pytest.mark.parametrize("instead", ["nothing", "another record"])
def test_a_record_that_was_cut_and_is_gone_is_not_sent_again(
    nightdesk: CommandLine, send_to_dlq: DlqWriter, large: tuple[bytes, int], instead: str
) -> None:
    value, offset = large
    send_to_dlq.dead_letter_bytes = 200_000
    letter_id = send_to_dlq(value, b"k", LARGE_HEADERS, offset=offset - 1 if instead == "another record" else 987_654)
    small = send_to_dlq(b"small")
    shown = nightdesk("dlq", "show", letter_id, "--output", "json").json()
    assert (shown["truncated"], shown["whole"], shown["size_bytes"]) == (True, False, len(value))
    assert value.startswith(base64.b64decode(shown["value_base64"]))
    assert "is gone" in nightdesk("dlq", "show", letter_id).out
    assert nightdesk("dlq", "show", letter_id, "--raw", "-").code == 3
    replayed = nightdesk("dlq", "replay", "--all")
    assert replayed.code == 3
    assert letter_id in replayed.err
    assert "1 replayed" in replayed.out
    assert ids(nightdesk("dlq", "list", "-o", "json")) == [letter_id]
    assert ids(nightdesk("dlq", "list", "-o", "json", "--state", "replayed")) == [small]
    assert nightdesk("dlq", "discard", letter_id, "--reason", "gone").code == 0


def test_a_filter_has_a_name_in_the_audit_of_each_letter(
    nightdesk: CommandLine, send_to_dlq: DlqWriter, topics: Settings
) -> None:
    send_to_dlq(b"x")
    send_to_dlq.event(3)
    send_to_dlq.event(4)
    most, least = nightdesk("dlq", "list", "--by-cause", "--output", "json").json()
    assert (most["letters"], most["error"], least["letters"]) == (2, "ConnectionError", 1)
    filter_ = ("--error", most["error"], "--cause", most["cause"])
    dry = nightdesk("dlq", "replay", *filter_, "--dry-run", "--output", "json").json()
    assert (dry["dry_run"], len(dry["letters"])) == (True, 2)
    nightdesk("dlq", "replay", *filter_, "--name", "shop was away", "--reason", "it is back")
    nightdesk("dlq", "discard", "--error", least["error"], "--reason", "a test")
    found = nightdesk("dlq", "list", "--state", "all", "--output", "json").json()
    names = {letter["error"]: letter["end"]["filter_name"] for letter in found}
    assert names == {"ConnectionError": "shop was away", least["error"]: f"error={least['error']}"}
