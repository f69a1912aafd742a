"""What the broker says of a log's offsets, and what is no answer."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]  # its types forget it

from nightdesk.messaging.log_offsets import ask_offsets

WITHIN_S = -0.9  # a second more is for a client that does not give up


@dataclass
class Admin:
    """Answers as librdkafka's admin client was seen to: with -1001 and no error while a partition had no leader."""

    offsets: Mapping[int, int | None]

    def list_offsets(self, wanted: Mapping[TopicPartition, OffsetSpec], **_: Any) -> dict[TopicPartition, Future[Any]]:
        answers = {}
        for place in wanted:
            answers[place] = Future[Any]()
            offset = self.offsets[place.partition]
            if offset is not None:
                answers[place].set_result(ListOffsetsResultInfo(offset, -1, -1))
        return answers


def asked(offsets: Mapping[int, int | None]) -> dict[tuple[str, int], int]:
    places = [("control", number) for number in offsets]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    return ask_offsets(Admin(offsets), places, latest, IsolationLevel.READ_UNCOMMITTED, WITHIN_S)  # type: ignore[arg-type]


def test_each_place_has_its_offset() -> None:
    assert asked({0: 14, 1: 0}) == {("control", 0): 14, ("control", 1): 0}


@pytest.mark.parametrize(
    ("offsets", "code"),
    [({0: 14, 1: -1001}, KafkaError._NO_OFFSET), ({0: -1}, KafkaError._NO_OFFSET), ({0: None}, KafkaError._TIMED_OUT)],
)
def test_an_answer_without_an_offset_is_no_answer(offsets: Mapping[int, int | None], code: int) -> None:
    """Taken for an offset, it said that the topic of orders had been made anew, and the worker ended with 79."""
    with pytest.raises(KafkaException) as caught:
        asked(offsets)
    assert caught.value.args[0].code() == code
