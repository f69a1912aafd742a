"""`produce` uses one producer again, unless it failed or was idle for long."""

import pytest

from nightdesk.messaging import blocking_producer
from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.clients import LARGEST_MESSAGE_BYTES, new_producer
from nightdesk.messaging.failures import Failure
from nightdesk.schemas.topics import ACT, INGEST
from nightdesk.settings import Settings


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The producers that were made."""
    made: list[object] = []

    def make(*arguments: object) -> object:
        made.append(new_producer(*arguments))  # type: ignore[arg-type]  # passed on as they came
        return made[-1]

    monkeypatch.setattr(blocking_producer, "new_producer", make)
    monkeypatch.setattr(blocking_producer, "_idle", {})
    return made


def test_two_topics_and_two_prefixes_share_a_producer(small_settings: Settings, made: list[object]) -> None:
    kafka = small_settings.kafka
    produce(kafka, INGEST, [("t-1", b"first")])
    produce(kafka, ACT, [("t-1", b"second")])
    produce(kafka.model_copy(update={"topic_prefix": "other."}), ACT, [("t-1", b"third")])
    assert len(made) == 1


def test_one_that_failed_is_not_used_again(small_settings: Settings, made: list[object]) -> None:
    with pytest.raises(Failure, match="did not accept everything"):
        produce(small_settings.kafka, INGEST, [("t-1", b"x" * (LARGEST_MESSAGE_BYTES + 1))])
    produce(small_settings.kafka, INGEST, [("t-1", b"small")])
    assert len(made) == 2


def test_one_in_use_is_not_shared_and_one_that_was_idle_for_long_is_replaced(
    small_settings: Settings, made: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile() -> tuple[str, bytes]:
        produce(small_settings.kafka, ACT, [("t-2", b"by another thread")])
        return "t-1", b"first"

    produce(small_settings.kafka, INGEST, (meanwhile() for _ in range(1)))
    assert len(made) == 2
    monkeypatch.setattr(blocking_producer, "IDLE_AT_MOST_S", 0.0)
    produce(small_settings.kafka, INGEST, [("t-1", b"second")])
    assert len(made) == 3
