"""Which version of a charter is in force: promoted, taken back, retired; and what a worker must be able to read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nightdesk.messaging.failures import Failure
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.charter_readers import check_readable
from nightdesk.operations.orders import By, give_orders, known_order, read_control
from nightdesk.operations.promotions import promote
from nightdesk.schemas.audit import ControlDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import AuditRecord, UnreadableCharter, WorkerReport
from nightdesk.settings import Settings
from nightdesk.streams.api import system_clock
from nightdesk.streams.identity import Identity
from nightdesk.streams.worker_reports import reports_producer, send
from tests.nightdesk.command_line import CommandLine
from tests.processors.examples import CHARTER, FILES, changed, compiled

BY = By("a test", "ops")
ME = Identity("ingest", "ingest-0")
FIRST, SECOND = compiled(), compiled(("confidence: 0.75", "confidence: 0.85"))


def _folder(path: Path, text: str) -> str:
    path.mkdir()
    for name, content in {"charter.yaml": text, **FILES}.items():
        (path / name).write_text(content)
    return str(path)


def _in_force(nightdesk: CommandLine) -> dict[str, bool]:
    return {row["version"]: row["in_force"] for row in nightdesk("charter", "list", "-o", "json").json()}


def test_a_version_is_applied_promoted_taken_back_and_retired(
    nightdesk: CommandLine, topics: Settings, tmp_path: Path
) -> None:
    first = _folder(tmp_path / "first", CHARTER)
    second = _folder(tmp_path / "second", changed(("confidence: 0.75", "confidence: 0.85")))
    assert nightdesk("charter", "apply", first, "--promote").code == 0
    assert nightdesk("charter", "apply", second).code == 0
    assert _in_force(nightdesk) == {FIRST.version: True, SECOND.version: False}
    assert "+    confidence: 0.85" in nightdesk("charter", "diff", "desk").out
    assert nightdesk("charter", "promote", "desk", SECOND.version, "--reason", "stricter").code == 0
    assert _in_force(nightdesk) == {FIRST.version: False, SECOND.version: True}
    taken_back = nightdesk("charter", "rollback", "desk", "-o", "json").json()
    assert taken_back == {"agent": "desk", "version": FIRST.version, "before": []}
    assert nightdesk("charter", "rollback", "desk").code != 0, "it goes back no further"
    assert nightdesk("charter", "retire", "desk").code == 0
    assert not any(_in_force(nightdesk).values())
    assert nightdesk("charter", "retire", "desk").code != 0
    assert nightdesk("charter", "promote", "desk", "unknown").code != 0
    assert nightdesk("charter", "rollback", "desk").code == 0
    assert _in_force(nightdesk) == {FIRST.version: True, SECOND.version: False}
    orders = [detail.order for detail in _control_details(topics)]
    assert orders.count("installation") == 1
    assert [one for one in orders if one != "installation"] == ["promote", "promote", "promote", "retire", "promote"]


def _control_details(settings: Settings) -> list[ControlDetail]:
    with registered_codec(settings) as codec:
        topic = settings.kafka.topic_prefix + "audit"
        records = [codec.decode(AuditRecord, one.value() or b"") for one in read_topic(settings.kafka, topic)]
    found = [read(ControlDetail, one.detail) for one in records if one.kind == "control"]
    return [detail for detail in found if detail is not None]


@contextmanager
def _a_worker_reports(settings: Settings, **fields: Any) -> Iterator[None]:
    """A process whose reports say `fields`, once a tenth of a second, until the test is over."""
    over = threading.Event()
    producer = reports_producer(settings.kafka.client_config())

    def report_repeatedly() -> None:
        with registered_codec(settings) as codec:
            while not over.wait(0.1):
                report = ME.report("ready", system_clock()).model_copy(update=fields)
                send(producer, settings.kafka.topic_prefix, report.key, codec.encode(report))
                producer.flush(5)

    thread = threading.Thread(target=report_repeatedly)
    thread.start()
    try:
        while not any(read_topic(settings.kafka, settings.kafka.topic_prefix + "workers")):
            time.sleep(0.05)
        yield
    finally:
        over.set()
        thread.join()


def _refusal(settings: Settings, version: str) -> str:
    before = read_control(settings).read_up_to
    with pytest.raises(Failure) as raised:
        promote(settings, {"desk": version}, BY)
    assert read_control(settings).read_up_to == before, "no order was given"
    return str(raised.value)


def test_nothing_is_promoted_that_a_running_worker_cannot_read_or_does_not_say(topics: Settings) -> None:
    give_orders(topics, [known_order(FIRST.charter)])
    up_to = read_control(topics).read_up_to
    cannot = UnreadableCharter(agent="desk", version=FIRST.version, promoted=False, reason="mood: unknown key")
    with _a_worker_reports(topics, control_offset=up_to, program_version="0.0.9", unreadable_charters=(cannot,)):
        refusal = _refusal(topics, FIRST.version)
        assert f"ingest/{ME.instance_id} runs version 0.0.9 and cannot read charter {FIRST.version} of desk" in refusal
        assert "mood: unknown key" in refusal
    with _a_worker_reports(topics, control_offset=up_to, program_version=""):
        assert "does not say whether it can read the charters" in _refusal(topics, FIRST.version)
    with _a_worker_reports(topics, control_offset=up_to, program_version="0.0.9"):
        [order] = promote(topics, {"desk": FIRST.version}, BY)
    assert (order.oldest_program, order.charter_version) == ("0.0.9", FIRST.version)


def test_a_worker_that_was_killed_a_moment_ago_is_not_waited_for(topics: Settings) -> None:
    """Its last report says that it is ready and has read less than there is."""
    with _a_worker_reports(topics, control_offset=0, program_version="0.0.9"):
        give_orders(topics, [known_order(FIRST.charter)])
    [order] = promote(topics, {"desk": FIRST.version}, BY)
    assert order.oldest_program != "0.0.9"


def _report(**fields: object) -> WorkerReport:
    return ME.report("ready", system_clock()).model_copy(update=fields)


def test_a_charter_of_another_version_or_agent_keeps_nothing_back() -> None:
    other = UnreadableCharter(agent="desk", version="other", promoted=False, reason="")
    another = UnreadableCharter(agent="another", version="v", promoted=False, reason="")
    check_readable([_report(unreadable_charters=(other, another))], {"desk": "v"})
    with pytest.raises(Failure, match="cannot read charter v of another"):
        check_readable([_report(unreadable_charters=(other, another))], {"desk": "v", "another": "v"})
