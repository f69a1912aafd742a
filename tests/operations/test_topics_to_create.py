"""Which topics `topics apply` creates, without a broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from nightdesk.commands import topics as command
from nightdesk.messaging.failures import Failure
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.operations import topics
from nightdesk.operations.topics import (
    PARTITIONS,
    ComparedTopic,
    TopicState,
    apply_topics,
    check_differences,
    check_partitions,
    wanted_topics,
)
from nightdesk.output import Output

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:9", topic_prefix="night.")
NAMES = sorted(topic.name for topic in wanted_topics(KAFKA))


@pytest.fixture
def on_the_broker(monkeypatch: pytest.MonkeyPatch) -> dict[str, ComparedTopic]:
    """What the broker has; every other topic is missing. What is created is added."""
    there: dict[str, ComparedTopic] = {}

    @contextmanager
    def admin(_kafka: object) -> Iterator[None]:
        yield

    def inspect(*_: object) -> list[ComparedTopic]:
        return [there.get(name, ComparedTopic(name, TopicState.missing)) for name in NAMES]

    def create(_admin: object, missing: list[topics.Wanted], _replicas: object) -> None:
        there.update({topic.name: ComparedTopic(topic.name, TopicState.present) for topic in missing})

    monkeypatch.setattr(topics, "_admin", admin)
    monkeypatch.setattr(topics, "_inspect", inspect)
    monkeypatch.setattr(topics, "_create", create)
    return there


def test_only_what_is_missing_is_created_and_the_others_are_named_as_they_are(
    on_the_broker: dict[str, ComparedTopic],
) -> None:
    kept, other = (
        ComparedTopic(NAMES[0], TopicState.present),
        ComparedTopic(NAMES[1], TopicState.differs, ("retention.ms: 1, should be 2",)),
    )
    on_the_broker.update({kept.topic: kept, other.topic: other})
    found = apply_topics(KAFKA)
    assert found == [kept, other, *(ComparedTopic(name, TopicState.created) for name in NAMES[2:])]
    assert on_the_broker[other.topic] is other, "a topic that exists is never changed"
    assert set(on_the_broker) == set(NAMES)
    check_partitions(KAFKA, found)
    with pytest.raises(Failure, match=other.topic):
        check_differences(found)
    assert {one.state for one in apply_topics(KAFKA) if one is not other} == {TopicState.present}


def test_beside_a_topic_with_other_partitions_nothing_is_created(on_the_broker: dict[str, ComparedTopic]) -> None:
    wrong = ComparedTopic(NAMES[3], TopicState.differs, (f"{PARTITIONS}1, should be 4",))
    on_the_broker[wrong.topic] = wrong
    found = apply_topics(KAFKA)
    assert on_the_broker == {wrong.topic: wrong}
    assert {one.state for one in found if one is not wrong} == {TopicState.missing}
    with pytest.raises(Failure, match=f"1 topics lack 4 partitions, and nothing was created: {wrong.topic}"):
        check_partitions(KAFKA, found)


def test_the_command_fails_for_other_partitions_always_and_for_other_differences_if_asked(
    on_the_broker: dict[str, ComparedTopic], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "load_settings", lambda: SimpleNamespace(kafka=KAFKA))
    on_the_broker[NAMES[0]] = ComparedTopic(NAMES[0], TopicState.differs, ("retention.ms: 1, should be 2",))
    command.apply(Output.json, strict=False)
    assert json.loads(capsys.readouterr().out)[0] == {
        "topic": NAMES[0],
        "state": "differs",
        "differences": "retention.ms: 1, should be 2",
    }
    with pytest.raises(Failure, match="differ"):
        command.apply(Output.json, strict=True)
    on_the_broker[NAMES[0]] = ComparedTopic(NAMES[0], TopicState.differs, (f"{PARTITIONS}1, should be 4",))
    with pytest.raises(Failure, match="nothing was created"):
        command.apply(Output.json, strict=False)
