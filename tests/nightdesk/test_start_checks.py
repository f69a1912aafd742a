"""What a worker needs before it starts."""

from __future__ import annotations

import pytest

from nightdesk.messaging.failures import Failure
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.operations.topics import wanted_topics
from nightdesk.start_checks import check_topics
from nightdesk.streams import catalog
from tests.fakes import messaging_servers


def _needed(stage: str) -> list[str]:
    """Without its own topics and changelogs."""
    return ["audit", *(topic.dlq for topic in catalog.BY_NAME[stage].topics if topic.dead_letters)]


@pytest.mark.parametrize("stage", sorted(catalog.BY_NAME))
def test_it_does_not_start_without_a_topic_that_it_writes_for_every_record(
    stage: str, small_servers: tuple[str, str], topic_prefix: str
) -> None:
    """It would take a record, end because the broker does not accept what follows from it, and start again for ever."""
    kafka = KafkaSettings(bootstrap_servers=small_servers[0], topic_prefix=topic_prefix)
    needed = [topic_prefix + name for name in _needed(stage)]
    others = [topic.name for topic in wanted_topics(kafka) if topic.name not in needed]
    messaging_servers.create(small_servers[0], others)
    with pytest.raises(Failure, match="topics are missing") as refused:
        check_topics(stage, kafka)
    assert all(name in str(refused.value) for name in needed)
    messaging_servers.create(small_servers[0], needed)
    check_topics(stage, kafka)
