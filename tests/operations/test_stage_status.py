"""How far the stages are, and the one answer where no broker is there to ask."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.log_offsets import Bounds, Place
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.transactions import OpenTransaction
from nightdesk.operations import stage_status
from nightdesk.settings import Settings

NOBODY = KafkaSettings(bootstrap_servers="127.0.0.1:1")
QUESTIONS: tuple[Callable[[KafkaSettings], object], ...] = (
    stage_status.stage_status,
    stage_status.long_transactions,
    lambda kafka: stage_status.topic_bounds(kafka, "ingest"),
    lambda kafka: stage_status.behind(kafka, "act", {("act", 0): Bounds(0, 1, 1)}),
    lambda kafka: stage_status.committed(kafka, "act", [("act", 0)]),
)


@pytest.mark.parametrize("ask", QUESTIONS)
def test_a_broker_that_is_not_there_is_said_to_be_unreachable(
    ask: Callable[[KafkaSettings], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_status, "ANSWER_WITHIN_S", 0.2)
    with pytest.raises(Failure, match=r"Kafka at 127\.0\.0\.1:1 does not answer") as caught:
        ask(NOBODY)
    assert caught.value.kind is FailureKind.UNREACHABLE


def test_a_stage_without_lag_has_nothing_in_flight(small_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With lag, only the worker knows."""
    kafka = small_settings.kafka
    running = dict.fromkeys(stage_status.TOPICS_OF_STAGE, "running")
    monkeypatch.setattr(stage_status, "_states", lambda _admin, _prefix: running)  # the broker of the test has none
    producer = Producer(kafka.client_config())
    producer.produce(f"{kafka.topic_prefix}audit", b"1")
    assert producer.flush(30) == 0
    found = stage_status.stage_status(kafka)
    assert found["sink"] == stage_status.StageStatus("running", lag=1, in_flight=None)
    assert found["act"] == stage_status.StageStatus("running", lag=0, in_flight=0)


@pytest.mark.parametrize("topic", ["ingest", "audit", "control"])
def test_a_transaction_that_hangs_is_named_on_each_topic_that_holds_something_back(
    topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind one on `control` no worker makes a call."""
    hanging = (f"t.{topic}", 0)

    def bounds(_admin: object, topics: set[str]) -> dict[Place, Bounds]:
        return {(name, 0): Bounds(0, 1 if name == hanging[0] else 5, 5) for name in topics}

    def opened(_config: object, place: Place, found: Bounds) -> OpenTransaction | None:
        return OpenTransaction(*place, found.stable, datetime(2026, 1, 1, tzinfo=UTC)) if found.stable < 5 else None

    monkeypatch.setattr(stage_status, "_bounds", bounds)
    monkeypatch.setattr(stage_status, "open_transaction", opened)
    found = stage_status.long_transactions(NOBODY.model_copy(update={"topic_prefix": "t."}))
    assert [(one.topic, one.partition) for one in found] == [hanging]
