"""The log itself tells whether an offset that did not arrive exists, and where its last readable record is."""

from threading import Thread
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its types forget what it exports

from nightdesk.local.stack import LocalStack
from nightdesk.messaging.log_offsets import Bounds, ask_bounds
from nightdesk.messaging.transactions import open_transaction
from nightdesk.streams.runtime.consuming import offset_gaps
from nightdesk.streams.runtime.consuming.offset_gaps import Found
from tests.streams.fault_injection.broker import wait_until

Config = dict[str, str | int | float | bool]


@pytest.fixture
def config(stack: LocalStack) -> Config:
    return {"bootstrap.servers": stack.settings.kafka.bootstrap_servers}


@pytest.fixture
def topic(config: Config) -> str:
    name = f"holes-{uuid4().hex[:8]}"
    with AdminClient(config) as admin:
        admin.create_topics([NewTopic(name, 1, 1)])[name].result()
    assert wait_until(lambda: _is_led(config, name), within_s=30)
    return name


def test_a_changelog_is_read_when_no_transaction_hides_its_last_records(
    config: Config, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Recovery takes the first record of an open transaction for the end, and would leave out what is behind it."""
    _write(config, topic, 2)
    hanging = _begin(config, topic, 1)
    _write(config, topic, 2)
    waiting = Thread(target=offset_gaps.wait_until_readable, args=(config, [(topic, 0)]), daemon=True)
    waiting.start()
    assert wait_until(lambda: "is open since" in caplog.text, within_s=30)
    assert waiting.is_alive()
    hanging.abort_transaction()
    waiting.join(30)
    assert not waiting.is_alive()
    bounds = _bounds(config, topic)
    assert bounds.stable == bounds.end


def _write(config: Config, topic: str, count: int) -> None:
    producer = Producer(config)
    for number in range(count):
        producer.produce(topic, str(number))
    producer.flush()


def _begin(config: Config, topic: str, count: int) -> Producer:
    """A transaction with `count` records, neither committed nor aborted."""
    producer = Producer({**config, "transactional.id": topic})
    producer.init_transactions()
    producer.begin_transaction()
    for number in range(count):
        producer.produce(topic, str(number))
    producer.flush()
    return producer


def _end(config: Config, topic: str, count: int, *, commit: bool) -> None:
    """`count` records and the marker of the transaction's end, whose offset no consumer ever sees."""
    before = _bounds(config, topic).end
    producer = _begin(config, topic, count)
    producer.commit_transaction() if commit else producer.abort_transaction()
    # The coordinator writes the marker when it has already answered.
    assert wait_until(lambda: _bounds(config, topic).stable == before + count + 1, within_s=30)


def _is_led(config: Config, topic: str) -> bool:
    """A broker that has just created a topic may not know its leader yet."""
    try:
        return _bounds(config, topic).end == 0
    except KafkaException:
        return False


def _bounds(config: Config, topic: str) -> Bounds:
    with AdminClient(config) as admin:
        return ask_bounds(admin, [(topic, 0)])[topic, 0]


def _delete_records(config: Config, topic: str, before: int) -> None:
    with AdminClient(config) as admin:
        place = TopicPartition(topic, 0, before)
        admin.delete_records([place])[place].result()


def test_a_record_that_is_there_is_no_hole(config: Config, topic: str) -> None:
    _write(config, topic, 3)
    assert [offset_gaps.look_from(config, (topic, 0), at) for at in range(3)] == [Found(at, 0) for at in range(3)]


def test_a_transactions_marker_is_a_hole(config: Config, topic: str) -> None:
    _end(config, topic, 2, commit=True)
    _write(config, topic, 1)
    assert offset_gaps.look_from(config, (topic, 0), 1) == Found(1, 0)
    assert offset_gaps.look_from(config, (topic, 0), 2) == Found(3, 0)


def test_what_a_transaction_aborted_is_a_hole(config: Config, topic: str) -> None:
    """A reader of uncommitted records would take them for records that the stage skipped, and end the process."""
    _write(config, topic, 1)
    _end(config, topic, 2, commit=False)
    _write(config, topic, 1)
    assert offset_gaps.look_from(config, (topic, 0), 1) == Found(4, 0)


@pytest.mark.parametrize("commit", [True, False])
def test_behind_the_last_record_the_next_offset_is_behind_the_markers(config: Config, topic: str, commit: bool) -> None:
    _write(config, topic, 1)
    _end(config, topic, 2, commit=commit)
    assert offset_gaps.look_from(config, (topic, 0), 3 if commit else 1) == Found(4, 0)


def test_what_was_deleted_is_below_the_start_of_the_log(config: Config, topic: str) -> None:
    _write(config, topic, 5)
    _delete_records(config, topic, 3)
    assert offset_gaps.look_from(config, (topic, 0), 1) == Found(3, 3)
    _delete_records(config, topic, 5)
    assert offset_gaps.look_from(config, (topic, 0), 1) == Found(5, 5)


def test_no_answer_is_not_taken_for_a_hole(config: Config, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offset_gaps, "ANSWER_TIMEOUT_S", 0.5)
    nobody = {**config, "bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
    assert offset_gaps.look_from(nobody, (topic, 0), 0) is None
    assert offset_gaps.readable_ends(nobody, {(topic, 0): 7}) == {(topic, 0): 7}


@pytest.mark.parametrize("aborted", [1, 200])
def test_the_readable_end_is_behind_the_last_record(config: Config, topic: str, aborted: int) -> None:
    """However many aborted records lie behind it, the search goes back further and further."""
    _write(config, topic, 3)
    _end(config, topic, aborted, commit=False)
    end = _bounds(config, topic).end
    assert offset_gaps.readable_ends(config, {(topic, 0): end}) == {(topic, 0): 3}


def test_a_log_without_a_readable_record_has_its_readable_end_at_the_beginning(config: Config, topic: str) -> None:
    assert offset_gaps.readable_ends(config, {(topic, 0): 0}) == {(topic, 0): 0}
    _end(config, topic, 2, commit=False)
    assert offset_gaps.readable_ends(config, {(topic, 0): 3}) == {(topic, 0): 0}


def test_an_open_transaction_is_found_with_its_first_record_and_time(config: Config, topic: str) -> None:
    _write(config, topic, 1)
    producer = _begin(config, topic, 1)
    _write(config, topic, 1)
    bounds = _bounds(config, topic)
    assert bounds == Bounds(start=0, stable=1, end=3)
    found = open_transaction(config, (topic, 0), bounds)
    assert found is not None
    assert (found.topic, found.partition, found.offset) == (topic, 0, 1)
    # Behind it nobody can read: the record there is no hole, and neither is it lag.
    assert offset_gaps.look_from(config, (topic, 0), 1) == Found(1, 0)
    producer.abort_transaction()
    assert wait_until(lambda: _bounds(config, topic).stable == 4, within_s=30)
    assert open_transaction(config, (topic, 0), _bounds(config, topic)) is None
