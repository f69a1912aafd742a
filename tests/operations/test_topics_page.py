"""docs/how-to/deploy.md names the settings of every topic, for people who create topics by other means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nightdesk.messaging.settings import KafkaSettings
from nightdesk.operations.topics import Wanted, wanted_topics

PAGE = Path(__file__).parents[2] / "docs/how-to/deploy.md"
PREFIX = "nightdesk."
TOPICS = wanted_topics(KafkaSettings(bootstrap_servers="127.0.0.1:9", topic_prefix=PREFIX))
OTHERS = "all but the following"


def _rows() -> dict[str, str]:
    """The cells of the table of topics: which topics, and their settings."""
    section = PAGE.read_text().partition("\n### Topics\n")[2].partition("\n### ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {row[0]: row[1] for row in rows[2:]}


def _settings(topic: Wanted) -> dict[str, str]:
    """What the page says of a topic."""
    rows, name = _rows(), topic.name.removeprefix(PREFIX)
    named = [topics for topics in rows if f"`{re.sub('^nightdesk-.*-', 'nightdesk-*-', name)}`" in topics]
    settings = rows[named[0] if named else OTHERS]
    of_letters = re.search(r" \(`\*\.dlq`: `([^`]+)`\)", settings)
    pairs = re.findall(r"`([a-z.]+)=([^`]+)`", settings.replace(of_letters[0], "") if of_letters else settings)
    if of_letters and name.endswith(".dlq"):
        pairs.append(tuple(of_letters[1].split("=")))
    return dict(pairs)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_page_has_the_settings_of_the_topic(topic: Wanted) -> None:
    assert _settings(topic) == topic.config
